"""The page of a comparison in HTML: the markdown page's blocks, and nothing that a name in a run could add."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from aesweep.report.comparison.blocks import Block, Bullets, Heading, Paragraph
from aesweep.report.comparison.html import comparison_html
from aesweep.report.text.markdown import code, inert
from aesweep.report.text.table import Table

HOSTILE = [
    "<script>alert(1)</script>",
    "\" onload='x'",
    "</style><img src=x onerror=y>",
    "🦊 \u202eabc",
    "[a](http://b)",
    "{{ 7 * 7 }}",
]


def blocks(name: str) -> list[Block]:
    return [
        Heading(1, f"{code(name)} beside {inert(name)}"),
        Paragraph(f"About {inert(name)}."),
        Heading(2, inert(name)),
        Bullets((f"**Found** {inert(name)}",)),
        Table(["Winner", inert(name)], [[code(name), "1.5"], [inert(name), "0.5"]]),
        Heading(3, "Nothing"),
        Table(["Empty"], []),
    ]


class Parsed(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._open, []).append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def test_every_block_is_there_once() -> None:
    page = Parsed(comparison_html(blocks("plain")))
    assert (page.count("h1"), page.count("h2"), page.count("h3")) == (1, 1, 1)
    assert page.count("table") == 1 and page.count("tr") == 3  # an empty table is left out
    targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert len(links) == 3 and all(link[1:] in targets for link in links)


def test_the_policy_allows_the_page_s_own_script_and_style_alone() -> None:
    page = Parsed(comparison_html(blocks("plain")))
    (policy,) = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    for tag in ("script", "style"):
        digest = hashlib.sha256("".join(page.texts[tag]).encode()).digest()
        assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy.split("; ")
    assert "default-src 'none'" in policy and "unsafe" not in policy


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_do_nothing_but_show(name: str) -> None:
    page, plain = Parsed(comparison_html(blocks(name))), Parsed(comparison_html(blocks("plain")))
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    assert [sorted(attributes) for _, attributes in page.tags] == [sorted(attributes) for _, attributes in plain.tags]
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
    letters = re.sub(r"\W", "", name)
    assert letters in re.sub(r"\W", "", "".join(page.texts["h2"]))
