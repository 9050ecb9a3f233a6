"""The manifest of a report: what it was made from, with which versions, and the hash of each of its files.

It is written last, as report.manifest.json, and `check.py` compares the report with it.
"""

from __future__ import annotations

import dataclasses
import json
import platform
import re
from collections.abc import Mapping
from typing import Any

from aesweep.process.installed_packages import installed_versions
from aesweep.report.formats.format import Settings
from aesweep.report.rows.origin import Origin

# Packages on which the bytes of tables and figures depend.
PACKAGES = ("aesweep", "jinja2", "markdown-it-py", "matplotlib", "numpy", "pandas", "pillow", "scipy", "tabulate")
FORMAT = 1
# A manifest may come from elsewhere, and names files that are then removed: only a report's own can be.
_FILE = re.compile(r"tables/[^/.][^/]*\.(csv|tex|bib)|figures/[^/.][^/]*\.(png|svg|pdf|tex)|report\.(md|html)")


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What is known of a report.

    Attributes:
        origin: the journal's lines and the pictures that it was made from.
        settings: its formats and width.
        versions: of the packages, of Python and of the platform with which it was made.
        files: SHA-256 of each file, by its path within the run's folder.
    """

    origin: Origin
    settings: Settings
    versions: Mapping[str, str]
    files: Mapping[str, str]

    def text(self) -> str:
        """Returns the content of the file."""
        values = {
            "format": FORMAT,
            "journal": {"num_lines": self.origin.num_lines, "sha256": self.origin.journal_sha256},
            "pictures": self.origin.pictures,
            "formats": list(self.settings.formats),
            "width": self.settings.width,
            "versions": dict(self.versions),
            "files": dict(self.files),
        }
        return json.dumps(values, indent=2, sort_keys=True) + "\n"


def parse_manifest(text: str) -> Manifest:
    """Returns a manifest from the content of its file; raises ValueError if it is none."""
    values = json.loads(text)
    try:
        journal = values["journal"]
        if values["format"] != FORMAT:
            raise ValueError(f"expected format {FORMAT}, found {values['format']!r}")
        manifest = Manifest(
            Origin(int(journal["num_lines"]), str(journal["sha256"]), dict(values["pictures"])),
            Settings(tuple(map(str, values["formats"])), str(values["width"])),
            _texts(values["versions"]),
            _texts(values["files"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"a part is missing or is not what was expected: {error}") from error
    strange = [name for name in manifest.files if not _FILE.fullmatch(name)]
    if strange:
        raise ValueError(f"{strange[0]!r} is no file of a report")
    return manifest


def current_versions() -> dict[str, str]:
    """Returns the versions with which a report is made now."""
    system = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    return installed_versions(PACKAGES) | system


def _texts(values: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in dict(values).items()}
