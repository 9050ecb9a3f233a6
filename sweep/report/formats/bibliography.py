"""A bibliography entry for the run, for BibTeX and biblatex."""

from __future__ import annotations

import datetime
import re

from aesweep.report.sections.contents import Contents
from aesweep.report.text.latex import escaped


def bibliography(contents: Contents) -> str:
    """Returns a `@misc` entry: the study's name, the year in which it was started (UTC), and the hashes in its note.

    No author is named, since a run records none.
    """
    run, origin = contents.run, contents.origin
    study = str(run.study.get("name", "run"))
    version = str(run.environment.get("packages", {}).get("aesweep", ""))
    year = [f"  year = {{{_year(run.started_at)}}},"] if run.started_at is not None else []
    note = f"aesweep {escaped(version)}, study SHA-256 {_breakable(run.study_hash)}, "
    note += f"journal SHA-256 {_breakable(origin.journal_sha256)}"
    return "\n".join(
        [
            f"@misc{{aesweep:{re.sub(r'[^A-Za-z0-9-]', '-', study)},",
            f"  key = {{{escaped(study)}}},",
            f"  title = {{{{{escaped(study)}}}: an autoencoder study}},",
            *year,
            f"  note = {{{note}}},",
            "}",
            "",
        ]
    )


def _year(seconds: float) -> int:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).year


def _breakable(digest: str | None) -> str:
    """Returns a hash that LaTeX may break into lines."""
    text = re.sub(r"[^0-9a-f]", "", digest or "")
    return rf"\texttt{{{(chr(92) + 'allowbreak ').join(text[at : at + 16] for at in range(0, len(text), 16))}}}"
