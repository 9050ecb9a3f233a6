"""A document with every table and figure of a report, compiled by a real LaTeX, and read back from its PDF."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from synthetic import Synthetic, renamed

from aesweep.report.page import write_report
from aesweep.storage.run_folder import RunFolder

DOCUMENT = r"""
\documentclass[%s]{article}
\usepackage[T1]{fontenc}
\usepackage{lmodern}
\usepackage[margin=0.9in]{geometry}
\usepackage{booktabs,graphicx,siunitx}
\graphicspath{{figures/}}
\begin{document}
\listoftables
%s
\clearpage
%s
\nocite{*}
\bibliographystyle{plain}
\bibliography{tables/run}
\end{document}
"""
HOSTILE = r"x\input{/etc/passwd}%$&#_^~|`**é😀" + '"<script>'


def has_latex() -> bool:
    found = all(shutil.which(name) for name in ("pdflatex", "bibtex", "kpsewhich", "pdftotext", "pdffonts"))
    names = ("siunitx.sty", "booktabs.sty", "lmodern.sty")
    return found and all(subprocess.run(["kpsewhich", name], capture_output=True).returncode == 0 for name in names)


pytestmark = [
    pytest.mark.latex,
    pytest.mark.skipif(not has_latex(), reason="needs pdflatex, bibtex, siunitx, booktabs, lmodern and poppler-utils"),
]


@pytest.fixture(scope="module", params=["column", "page"])
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, str, str]:
    """The run's folder with the compiled document, the text of its PDF, and the compiler's log."""
    synthetic = Synthetic().build()
    synthetic.events = renamed(synthetic.events, "fashion_mnist", HOSTILE)
    folder = synthetic.write(tmp_path_factory.mktemp("paper") / "run")
    write_report(folder, ["latex", "pdf"], request.param)

    def inputs(part: Path) -> str:
        return "\n".join(rf"\input{{{path.relative_to(folder.root)}}}\clearpage" for path in sorted(part.glob("*.tex")))

    option = "twocolumn" if request.param == "column" else "a4paper"
    (folder.root / "paper.tex").write_text(DOCUMENT % (option, inputs(folder.tables), inputs(folder.figures)))
    latex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    for command in (latex, ["bibtex", "paper"], latex, latex):
        done = subprocess.run(command, cwd=folder.root, capture_output=True)
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-3000:]
    text = subprocess.run(["pdftotext", "-layout", "paper.pdf", "-"], cwd=folder.root, capture_output=True, check=True)
    return folder, text.stdout.decode(), (folder.root / "paper.log").read_text(errors="replace")


def test_every_table_and_figure_is_in_the_document(compiled: tuple[RunFolder, str, str]) -> None:
    folder, text, log = compiled
    for kind, part in (("Table", folder.tables), ("Figure", folder.figures)):
        numbers = {int(number) for number in re.findall(rf"{kind}\s+(\d+):", text)}
        assert numbers == set(range(1, 1 + len(list(part.glob("*.tex")))))
    assert "undefined" not in log and "multiply defined" not in log and "Missing character" not in log


def test_intervals_are_those_of_the_page(compiled: tuple[RunFolder, str, str]) -> None:
    """In a table too wide for a page, 0.0013 ± 0.0002 is written as 0.0013(2)."""
    folder, text, _ = compiled
    rows = [line.replace("**", "") for line in folder.report.read_text().splitlines() if line.startswith("|")]
    intervals = [found for row in rows for found in re.findall(r"(\d+\.\d+) ± (\d\.\d+)", row)]
    assert len(intervals) > 10
    for mean, half in intervals:
        digits = str(int(half.replace(".", "")))
        assert re.search(rf"{re.escape(mean)}(\s*±\s*{re.escape(half)}|\({digits}\))", text), (mean, half)


def test_hostile_text_is_shown_and_nothing_else(compiled: tuple[RunFolder, str, str]) -> None:
    _, text, log = compiled
    assert "root:" not in text and "/etc/passwd)" not in log
    shown = re.sub(r"\s+", "", text)
    assert r"x\input{/etc/passwd}%$&#_^~|`**éU+1F600" in shown


def test_fonts_of_the_figures_are_embedded_outlines(compiled: tuple[RunFolder, str, str]) -> None:
    folder, _, _ = compiled
    for path in folder.figures.glob("*.pdf"):
        fonts = subprocess.run(["pdffonts", path], capture_output=True, text=True, check=True).stdout.splitlines()[2:]
        assert fonts
        for font in fonts:
            assert "CID TrueType" in font or "TrueType" in font
            assert re.search(r"\s(yes|no)\s+(yes|no)\s+(yes|no)\s+\d+\s+\d+$", font)[1] == "yes"


def test_bibliography_entry_is_cited(compiled: tuple[RunFolder, str, str]) -> None:
    _, text, _ = compiled
    assert "an autoencoder study" in text
