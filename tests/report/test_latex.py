r"""Text and tables for LaTeX: no character of a text acts; numbers, intervals and the best are kept."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from synthetic import Synthetic, renamed

from aesweep.report.figures.style import encoded, new_figure, styled, width_in
from aesweep.report.formats.columns import column_of, number_of
from aesweep.report.formats.format import Settings
from aesweep.report.formats.latex import latex_files
from aesweep.report.formats.registry import FORMATS, settings_of
from aesweep.report.rows.types import Run
from aesweep.report.sections.contents import Contents
from aesweep.report.text.inline import Span, cell_spans, plain, spans
from aesweep.report.text.latex import escaped, formatted
from aesweep.report.text.markdown import bold, code, inert
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState
from aesweep.study.schema import REPORT_FORMATS

# What TeX reads as anything but a letter to set, by its category codes in LaTeX and babel's shorthands.
ACTIVE = set('\\{}$&#^_~%"`<>|[]*')
# Commands that set a sign or change a font; none takes a file, a definition or a number.
HARMLESS = {
    *("textbackslash", "textbraceleft", "textbraceright", "textasciicircum", "textasciitilde", "textless"),
    *("textgreater", "textbar", "textasciigrave", "symbol", "textendash", "textemdash", "textquoteleft"),
    *("textquoteright", "textquotedblleft", "textquotedblright", "textellipsis", "textdagger", "textdaggerdbl", "S"),
    *(
        "ensuremath",
        "textdegree",
        "texttwosuperior",
        "textthreesuperior",
        "textperiodcentered",
        "nobreakspace",
        "pm",
        "times",
        "div",
        "leq",
        "geq",
        "neq",
        "approx",
    ),
    *("infty", "rightarrow", "mu", "ss", "ae", "AE", "o", "O", "oe", "OE", "l", "L", "i", "alpha", "beta", "gamma"),
    *("delta", "epsilon", "lambda", "sigma", "tau", "Delta", "Sigma", "u", "r", "H", "v", "c", "texttt", "textbf"),
    "emph",
}
TEXTS = st.text() | st.text(alphabet="\\{}$&#^_~%\"`<>|[]*-',@!? \n\tinputé±–😀‮a1")


def remainder(latex: str) -> str:
    """What is left of LaTeX without harmless commands, escaped signs and groups; the groups must be balanced."""
    depth = 0
    for at, letter in enumerate(latex):
        escapes = len(latex[:at]) - len(latex[:at].rstrip("\\"))
        depth += (letter == "{") - (letter == "}") if escapes % 2 == 0 else 0
        assert depth >= 0
    assert depth == 0
    names = re.findall(r"\\([A-Za-z]+|.)", latex)
    assert {name for name in names if name.isalpha()} <= HARMLESS
    assert {name for name in names if not name.isalpha()} <= set("$&#%_`'^~=.\"")
    left = re.sub(r"\\([A-Za-z]+|.)", "", latex)
    for group in ("{}", "{[}", "{]}", "{*}"):
        left = left.replace(group, "")
    return left.replace("{", "").replace("}", "")


@given(TEXTS)
def test_no_character_of_a_text_acts(text: str) -> None:
    latex = escaped(text)
    assert latex.isascii() and latex.isprintable()
    assert not ACTIVE.intersection(remainder(latex))
    for ligature in ("--", "''", ",,", "``"):
        assert ligature not in latex


@given(TEXTS)
def test_no_text_ends_its_place_in_a_markdown_cell(text: str) -> None:
    for cell in (inert(text), code(text), bold(inert(text))):
        assert not ACTIVE.intersection(remainder(formatted(cell_spans(cell))))


@given(st.text(alphabet="abyz 0189.:;!?()/+="))
def test_plain_text_is_kept(text: str) -> None:
    assert escaped(text) == text


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        (r"\input{/etc/passwd}", r"\textbackslash{}input\textbraceleft{}/etc/passwd\textbraceright{}"),
        ("50 % & more_", r"50 \% \& more\_"),
        ("a--b", "a-{}-b"),
        ("é Ö ş", r"\'{e} \"{O} \c{s}"),
        ("😀", r"\texttt{U+1F600}"),
        ("\u202eabc\n", " abc "),
    ],
)
def test_texts(text: str, latex: str) -> None:
    assert escaped(text) == latex


@given(st.text(alphabet="ab\\`*[]|~<>&_#:/ $", min_size=1))
def test_spans_read_what_markdown_shows(text: str) -> None:
    """markdown-it's own table and HTML are the reference."""
    tokens = MarkdownIt("commonmark").enable("table").parse(f"| h |\n| - |\n| {inert(text)} |")
    (token,) = [token for token in tokens if token.type == "inline"][1:]
    shown = "".join(child.content for child in token.children or ())
    assert plain(cell_spans(inert(text))).strip() == shown.strip()


def test_spans_have_their_marks_and_end_before_a_link() -> None:
    assert spans("**0.1** `a*b` *x* &lt;") == [
        Span("0.1", ("strong",)), Span(" "), Span("a*b", ("code",)), Span(" "), Span("x", ("em",)), Span(" <"),
    ]  # fmt: skip
    assert spans("Bold: best. ([CSV](tables/a.csv), [more](b))") == [Span("Bold: best. ")]


@pytest.mark.parametrize(
    ("cell", "latex"),
    [
        ("0.00457", "0.00457"),
        ("**0.00457**", r"\bfseries 0.00457"),
        ("**0.00570 ± 0.00012**", r"\bfseries 0.00570 \pm 0.00012"),
        ("1.23e-06 ± 4e-08", r"1.23 \pm 0.04e-6"),
        ("1,363", "1363"),
        ("+66 %", r"+66 {\,\%}"),
        ("0.0119 †", r"0.0119 {\,\textdagger{}}"),
    ],
)
def test_numbers_are_read_as_siunitx_takes_them(cell: str, latex: str) -> None:
    assert number_of(cell_spans(cell)).latex == latex


@pytest.mark.parametrize("cell", ["", "–", "2 of 3", "3: 9, 9: 6", "`256`", "1 2", "512-128", "1e5e5"])
def test_other_cells_are_no_numbers(cell: str) -> None:
    assert number_of(cell_spans(cell)) is None


@given(st.lists(st.tuples(st.integers(0, 9999), st.integers(0, 6), st.integers(1, 99)), min_size=1, max_size=5))
def test_a_column_has_room_for_its_widest_parts(values: list[tuple[int, int, int]]) -> None:
    cells = [f"{whole}.{'1' * digits} ± {spread / 10**digits:.{digits}f}" for whole, digits, spread in values if digits]
    if not cells:
        return
    column = column_of([cell_spans(cell) for cell in cells], is_label=False)
    whole, decimals, spread = map(
        int, re.fullmatch(r"S\[table-format=(\d+)\.(\d+)\((\d+)\)\]", column.specification).groups()
    )
    shown = [value for value in values if value[1]]
    assert whole == max(len(str(value[0])) for value in shown)
    assert decimals == max(value[1] for value in shown)
    assert spread == max(len(str(value[2])) for value in shown)


def test_a_column_of_text_is_text_and_a_gap_is_no_number() -> None:
    assert column_of([cell_spans(c) for c in ("1 of 3", "2 of 3")], is_label=False).specification == "r"
    assert column_of([cell_spans(c) for c in ("4", "8")], is_label=True).specification == "l"
    column = column_of([cell_spans(c) for c in ("0.1", "–", "")], is_label=False)
    assert column.specification == "S[table-format=1.1]" and column.cells == ["0.1", r"{\textendash{}}", ""]
    assert column_of([cell_spans("many words " * 6)], is_label=True).specification.endswith("em}")
    # A word that no line could hold would run into the next column.
    assert column_of([cell_spans("x" * 60)], is_label=True).specification == "l"


def made(folder: RunFolder, width: str = "page") -> dict[str, str]:
    with styled():
        contents = Contents(RunState.read(folder.journal), folder)
        return {name: str(content) for name, content in latex_files(contents, Settings(("latex",), width))}


@pytest.fixture(scope="module")
def files(folder: RunFolder) -> dict[str, str]:
    return made(folder)


@pytest.fixture(scope="module")
def journal(folder: RunFolder) -> str:
    return hashlib.sha256(folder.journal.read_bytes()).hexdigest()


def test_every_table_of_the_page_is_a_file(files: dict[str, str], report: str, journal: str) -> None:
    tables = [text for name, text in files.items() if name.endswith(".tex")]
    # The last table of the page says how to reproduce the run; it is not a section's.
    assert len(tables) == len(re.findall(r"^\|[-:|]+\|$", report, flags=re.MULTILINE)) - 1
    labels = [re.search(r"\\label\{(.*?)\}", text)[1] for text in tables]
    assert len(set(labels)) == len(labels) and all(re.fullmatch(r"tab:[A-Za-z0-9._:-]+", label) for label in labels)
    for text in tables:
        assert text.count(r"\toprule") == text.count(r"\bottomrule") == text.count(r"\caption[") == 1
        assert journal in text and text.isascii()


def test_cells_of_a_file_are_those_of_the_page(files: dict[str, str], mnist: str) -> None:
    rows = [line for line in mnist.partition("### Architecture")[2].splitlines() if line.startswith("|")][2:6]
    lines = files["tables/mnist-architecture.tex"].partition(r"\midrule")[2].partition(r"\bottomrule")[0]
    for row, line in zip(rows, lines.strip().splitlines(), strict=True):
        numbers = re.findall(r"\d+\.?\d*(?:e-\d+)?", row)
        assert re.findall(r"\d+\.?\d*(?:e-\d+)?", line) == numbers
        assert row.count("**") // 2 == line.count(r"\bfseries")
    assert r"\bfseries" in lines


def test_same_run_gives_the_same_bytes(folder: RunFolder, run: Run, files: dict[str, str]) -> None:
    assert made(folder) == files


def test_a_table_for_a_column_is_as_wide_as_it_must_be(folder: RunFolder, run: Run) -> None:
    narrow = made(folder, "column")
    floats = {re.search(r"\\begin\{(table\*?)\}", text)[1] for name, text in narrow.items() if name.endswith(".tex")}
    assert floats == {"table", "table*"}


def test_bibliography_names_study_year_and_hashes(files: dict[str, str], run: Run, journal: str) -> None:
    entry = files["tables/run.bib"].replace(r"\allowbreak ", "")
    assert entry.startswith("@misc{aesweep:") and entry.count("{") == entry.count("}")
    assert f"{{{{{run.study['name']}}}: an autoencoder study}}" in entry
    assert re.search(r"year = \{\d{4}\}", entry)
    assert run.study_hash in entry and journal in entry


def test_hostile_names_stay_text_in_every_file(tmp_path: Path) -> None:
    hostile = r"x\input{/etc/passwd}%$&#_^~\write18{id}|`**é😀‮" + '"<script>'
    synthetic = Synthetic().build()
    assert "fashion_mnist" in repr(synthetic.events)
    synthetic.events = renamed(synthetic.events, "fashion_mnist", hostile)
    folder = synthetic.write(tmp_path / "run")
    found = made(folder)
    for name, text in found.items():
        assert re.fullmatch(r"tables/[A-Za-z0-9_-]+\.(tex|bib)", name)
        body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
        assert body.isascii() and r"\input" not in body and r"\write" not in body
        assert not re.search(r"(?<!\\)(?:\\\\)*%(?!$)", body, flags=re.MULTILINE)
    assert any("U+1F600" in text and r"\textbackslash{}write18" in text for text in found.values())


def test_formats_are_those_of_the_schema(run: Run) -> None:
    assert set(FORMATS) == set(REPORT_FORMATS)
    assert settings_of(run) == Settings(("latex", "html", "markdown"), "page")
    asked = dataclasses.replace(run, study={**run.study, "report": {"formats": ["pdf"], "width": "column"}})
    assert settings_of(asked) == Settings(("pdf", "html", "markdown"), "column")
    assert settings_of(asked, ["latex"], "page") == Settings(("latex", "html", "markdown"), "page")


@pytest.mark.parametrize(("width", "inches"), [("page", 6.75), ("column", 3.4)])
def test_pdf_is_the_same_twice_of_its_width_with_whole_fonts(width: str, inches: float) -> None:
    found = []
    for _ in range(2):
        with styled(width):
            figure, (axes,) = new_figure(2.0)
            axes.set_title("Wörter 0.5")
            axes.plot([1, 2], [3, 4])
            assert width_in() == inches
            found.append(encoded(figure, "pdf"))
    assert found[0] == found[1]
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ", found[0])
    assert float(box[1]) == pytest.approx(72 * inches)
    assert b"/FontFile2" in found[0] and b"/Type3" not in found[0]
    assert b"Date" not in found[0] and b"atplotlib" not in found[0]
