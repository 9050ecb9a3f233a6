"""SVG files within a page: nothing of them reaches beyond them, and they look as they did."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ElementTree

from aesweep.report.formats.html.figures import MAX_SVG_BYTES, inline_figure, inline_svg
from aesweep.storage.run_folder import RunFolder


def test_figures_of_a_report_keep_every_shape_and_its_look(folder: RunFolder) -> None:
    for path in sorted(folder.figures.glob("*.svg")):
        before = ElementTree.fromstring(path.read_text())
        after = ElementTree.fromstring(inline_svg(path.read_text(), "x", "f1-"))
        names = ("path", "use", "g", "image", "clipPath", "rect")
        for name in names:
            found = before.iter(f"{{http://www.w3.org/2000/svg}}{name}")
            for old, new in zip(found, after.iter(name), strict=True):
                style = dict(re.findall(r"([\w-]+): ?([^;]+)", old.get("style", "")))
                assert {key: new.get(key) for key in style} == {
                    key: re.sub(r"url\(#", "url(#f1-", value) for key, value in style.items()
                }
                assert new.get("transform") == old.get("transform")
                assert (new.get("d") or "").split() == (old.get("d") or "").split()
        assert after.get("viewBox") == before.get("viewBox")


def test_unknown_parts_of_a_file_are_left_out() -> None:
    text = (
        '<svg xmlns="http://www.w3.org/2000/svg" onload="x()" viewBox="0 0 1 1"><script>x()</script>'
        '<style>*{fill:red}</style><foreignObject><p/></foreignObject><a href="javascript:x()"><path d="M 0 0"/></a>'
        '<image href="https://example.org/a.png"/>'
        '<g id="a" style="fill: #fff; clip-path: url(#b)" onclick="x()"/></svg>'
    )
    found = inline_svg(text, '"><script>', "p-")
    assert found == (
        '<svg role="img" aria-label="&#34;&gt;&lt;script&gt;" viewBox="0 0 1 1" stroke-linejoin="round" '
        'stroke-linecap="butt"><image /><g id="p-a" fill="#fff" clip-path="url(#p-b)" /></svg>'
    )


def test_figure_that_is_too_large_is_its_picture() -> None:
    png = b"\x89PNG"
    found = inline_figure("a", 'it"s', "f1-", {"a.svg": b" " * (MAX_SVG_BYTES + 1), "a.png": png}.__getitem__)
    assert found == f'<img src="data:image/png;base64,{base64.b64encode(png).decode()}" alt="it&#34;s">'
