"""report.html: the same sections as report.md, a policy that holds, names that stay names, and the same bytes twice."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
from pathlib import Path

import pytest
from synthetic import EMPTY_FIGURE, Synthetic, write_events

from aesweep.report.formats.html import prose
from aesweep.report.formats.html.assets import ECHARTS, ECHARTS_SHA256, ECHARTS_VERSION, FOLDER, SCRIPTS
from aesweep.report.formats.html.policy import content_security_policy, json_text
from aesweep.report.page import write_report
from aesweep.report.rows.types import Run
from aesweep.report.sections.contents import Contents
from aesweep.report.text.table import Value
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState

ROOT = Path(__file__).parents[2]
VOID = {"meta", "img", "br", "input", "hr", "link"}


class Page(html.parser.HTMLParser):
    """What a browser would find in a page: its elements with their attributes and texts, and whether they nest."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.setdefault(tag, []).append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in {"script", "style", "h1", "h2", "h3", "td", "th", "title"} & set(self.open):
            self.texts[tag][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def text(folder: RunFolder) -> str:
    return folder.page.read_text()


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_page_nests_and_its_identifiers_are_unique(page: Page) -> None:
    assert page.open == []
    found = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(found) == len(set(found))
    wanted = {a["href"][1:] for t, a in page.elements if t in ("a", "use") and (a.get("href") or "").startswith("#")}
    wanted |= set(
        re.findall(r"url\(#([^)]+)\)", " ".join(a["clip-path"] for _, a in page.elements if "clip-path" in a))
    )
    assert wanted <= set(found)


def test_page_has_the_sections_of_the_markdown_in_its_order(page: Page, report: str) -> None:
    headings = [
        text
        for tag in ("h2", "h3")
        for text in page.texts[tag]
        if text not in ("Learning curves", "Parallel coordinates")
    ]
    markdown = [
        *re.findall(r"^## (.*)$", report, flags=re.MULTILINE),
        *re.findall(r"^### (.*)$", report, flags=re.MULTILINE),
    ]
    assert [heading for heading in headings if heading != "All trials"] == markdown


def test_every_table_and_figure_of_the_report_is_there(page: Page, report: str) -> None:
    num_tables = len(re.findall(r"^\|:?-", report, flags=re.MULTILINE))
    assert sum("sortable" in (a.get("class") or "") for a in page.all("table")) == num_tables - 1  # one of facts
    alternatives = [re.sub(r"\\(.)", r"\1", text) for text in re.findall(r"!\[(.*)\]\(", report)]
    assert [a["aria-label"] for a in page.all("svg")] == alternatives and len(alternatives) == 2 * 12
    assert all(a["role"] == "img" for a in page.all("svg"))


def test_every_number_with_trials_is_a_button_that_names_them(page: Page, run: Run, folder: RunFolder) -> None:
    contents = Contents(RunState.read(folder.journal), folder)
    sections = [section for part in contents.datasets for section in part.sections] + contents.sections
    cells = [cell for section in sections for table in section.tables for row in table.rows for cell in row]
    values = [cell for cell in cells if isinstance(cell, Value) and (cell.trials or cell.baseline)]
    data = json.loads(page.texts["script"][0])
    names = {trial[0]: trial[1] for trial in data["trials"]}
    buttons = [a for a in page.all("button") if a.get("class") == "source"]
    assert len(values) == len(buttons) > 100
    for value, button in zip(values, buttons, strict=True):
        assert tuple(names[int(number)] for number in (button["data-trials"] or "").split()) == value.trials
        if value.baseline:
            baseline = data["baselines"][int(button["data-baseline"])]
            assert (baseline["dataset"], baseline["split"], baseline["stage"], baseline["method"]) == value.baseline[:4]


def test_policy_allows_the_page_s_own_scripts_and_style_and_nothing_else(page: Page) -> None:
    (policy,) = (a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    scripts = [text for text, a in zip(page.texts["script"], page.all("script"), strict=True) if not a.get("type")]
    assert len(scripts) == 2

    def hashes(texts: list[str]) -> str:
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    assert allowed == {
        "default-src": "'none'",
        "script-src": hashes(scripts),
        "style-src": hashes(page.texts["style"]),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert not any("style" in a or any(name.startswith("on") for name in a) for _, a in page.elements)
    # The policy comes before anything that it could forbid.
    tags = [tag for tag, _ in page.elements]
    assert tags.index("meta") < tags.index("style") < tags.index("script")
    assert "connect-src 'self'" in content_security_policy([], [], connects=True)


def test_page_refers_to_nothing_outside_the_run(page: Page) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "href", "action", "poster", "srcset", "data"):
            value = attributes.get(name)
            assert value is None or re.match(r"#|data:image/png;base64,|(tables|figures)/[^/]+$", value), (tag, value)
    assert not page.all("link") and not page.all("iframe") and not page.all("object")


HOSTILE = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "'\"`&lt;",
    "\N{GRINNING FACE}\N{HEBREW LETTER ALEF}\N{RIGHT-TO-LEFT OVERRIDE}txt",
    "[a](javascript:alert(1))",
    "![a](https://example.org/x.png)",
    "{{ 7 * 7 }}{% raw %}",
    "a\u2028b]]>",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_do_nothing_but_show(name: str, other_folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aesweep.report.sections.contents.encoded", lambda *_: EMPTY_FIGURE)
    synthetic = Synthetic(reference=False)
    synthetic._start()
    synthetic._search("architecture", "validation_mse", {"rows": "latent_dim", "columns": "hidden_layers"})
    synthetic.events[0]["command"] = ["aesweep", "run", name]
    synthetic.events[0]["study"] = {**synthetic.events[0]["study"], "name": name}
    synthetic.events[0]["environment"] = {**synthetic.events[0]["environment"], "cpu": name}
    texts = json.dumps(synthetic.events)
    for word in ("fashion_mnist", "architecture"):
        texts = texts.replace(word, json.dumps(f"{word[0]}{name}")[1:-1])
    write_report(write_events(other_folder, json.loads(texts)))
    page = Page(other_folder.page.read_text())
    assert page.open == [] and [a.get("type") for a in page.all("script")] == ["application/json", None, None]
    pictures = page.all("svg")
    assert 0 < len(pictures) == len(page.all("figure"))  # each is a figure's; a name adds none
    assert all(set(attributes) == set(pictures[0]) for attributes in pictures)
    assert {tag for tag, _ in page.elements} <= {
        *("html", "head", "meta", "title", "style", "body", "a", "header", "p", "h1", "bdi", "span", "nav", "details"),
        *(
            "summary",
            "svg",
            "ol",
            "li",
            "main",
            "div",
            "strong",
            "ul",
            "noscript",
            "section",
            "h2",
            "h3",
            "h4",
            "table",
            "thead",
        ),
        *("tbody", "tfoot", "tr", "th", "td", "button", "figure", "figcaption", "code", "pre", "em", "form", "dialog"),
        "script",
    }
    assert page.texts["h1"] == [name] and page.texts["title"] == [f"{name}: report"]
    data = json.loads(page.texts["script"][0])
    assert f"f{name}" in data["datasets"] and f"a{name}" in data["stages"]
    assert not any(a.get("href", "").startswith(("javascript:", "http")) for a in page.all("a"))


def test_json_in_a_page_cannot_end_its_element() -> None:
    for name in HOSTILE:
        text = str(json_text({name: [name, 1.5, None]}))
        assert json.loads(text) == {name: [name, 1.5, None]}
        assert not set("<>&\u2028\u2029") & set(text)
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text([float("nan")])


def test_html_in_markdown_stays_text() -> None:
    assert prose.inline("<b>x</b> **y**") == "&lt;b&gt;x&lt;/b&gt; <strong>y</strong>"
    assert "<script" not in prose.block("<script>alert(1)</script>\n\n<div onclick=x>")
    assert "href" not in prose.inline("[x](javascript:alert(1))") and "href" not in prose.inline(
        "[x](data:text/html,y)"
    )
    assert prose.bullets([]) == "" and prose.bullets(["`a`"]) == "<ul>\n<li><code>a</code></li>\n</ul>\n"


def test_same_journal_gives_the_same_bytes(folder: RunFolder, text: str) -> None:
    write_report(folder)
    assert folder.page.read_text() == text


def test_empty_run_has_a_page(other_folder: RunFolder) -> None:
    write_report(write_events(other_folder, []))
    page = Page(other_folder.page.read_text())
    assert page.open == [] and page.texts["h1"] == ["Report"] and not page.all("table")


def test_library_of_charts_is_the_official_one_and_cannot_end_its_element() -> None:
    content = ECHARTS.read_bytes()
    assert hashlib.sha256(content).hexdigest() == ECHARTS_SHA256
    assert f'version="{ECHARTS_VERSION}"'.encode() in content
    assert f"{ECHARTS_VERSION}" in (ROOT / "NOTICE").read_text() and "Apache" in (ROOT / "NOTICE").read_text()
    for file in (ECHARTS, *(FOLDER / f"{name}.js" for name in SCRIPTS)):
        found = file.read_text()
        assert "</script" not in found.lower() and "<!--" not in found and "\r" not in found and "\0" not in found
    assert {path.stem for path in FOLDER.glob("*.js")} == {*SCRIPTS, "echarts.min"}


def test_own_scripts_make_no_markup_and_no_code_from_texts() -> None:
    for name in SCRIPTS:
        found = (FOLDER / f"{name}.js").read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", found), (
            name
        )


def test_page_of_a_study_s_size_is_small(folder: RunFolder) -> None:
    assert folder.page.stat().st_size < 5_000_000
