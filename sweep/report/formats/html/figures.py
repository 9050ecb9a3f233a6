"""Places a figure's SVG file into a page.

Several figures share a page, so their identifiers get a prefix. Inline styles become presentation attributes, which a
content security policy allows without exception, and the style sheet of the file, which would apply to the whole page,
becomes attributes of its root.
"""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

from markupsafe import Markup, escape

# Above this size a figure is placed as its PNG file: thousands of lines slow a page down, and are dense anyway.
MAX_SVG_BYTES = 1_500_000
_ELEMENTS = {"svg", "g", "path", "use", "defs", "clipPath", "rect", "circle", "image", "polyline", "polygon", "line"}
_ATTRIBUTES = {
    *("id", "d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height", "points", "viewBox"),
    *("transform", "clip-path", "clip-rule", "href", "preserveAspectRatio", "fill", "fill-opacity", "fill-rule"),
    *("opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-dashoffset"),
    *("stroke-linecap", "stroke-linejoin", "stroke-miterlimit", "image-rendering"),
}
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
# What matplotlib's style sheet says of every element.
_INHERITED = {"stroke-linejoin": "round", "stroke-linecap": "butt"}


def inline_figure(name: str, alternative: str, prefix: str, file: Callable[[str], bytes]) -> Markup:
    """Returns a figure as an element of the page.

    Args:
        name: name of its files, without suffix.
        alternative: text for readers who do not see it.
        prefix: what its identifiers begin with.
        file: returns the content of a file of the figure.
    """
    svg = file(f"{name}.svg")
    if len(svg) <= MAX_SVG_BYTES:
        return inline_svg(svg.decode(), alternative, prefix)
    png = file(f"{name}.png")
    return Markup('<img src="data:image/png;base64,{}" alt="{}">').format(base64.b64encode(png).decode(), alternative)


def inline_svg(text: str, alternative: str, prefix: str) -> Markup:
    """Returns an SVG file of matplotlib's as an `svg` element, without what this module does not know.

    Raises:
        xml.etree.ElementTree.ParseError: the text is not well-formed.
    """
    root = ElementTree.fromstring(text)  # noqa: S314 - a file that the report has just written
    _convert(root, prefix)
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.attrib.update(_INHERITED)
    # The label comes first in the tag, and escaped by the same rules as the page.
    markup = ElementTree.tostring(root, encoding="unicode")
    label = f'<svg role="img" aria-label="{escape(alternative)}"'
    return Markup(label + markup.removeprefix("<svg"))  # noqa: S704 - serialized, so escaped


def _convert(element: ElementTree.Element, prefix: str) -> None:
    element.tag = element.tag.rpartition("}")[2]
    attributes = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    for part in attributes.pop("style", "").split(";"):
        name, separator, value = part.partition(":")
        if separator:
            attributes[name.strip()] = value.strip()
    element.attrib.clear()
    for name, value in attributes.items():
        if name not in _ATTRIBUTES:
            continue
        if name == "id":
            value = prefix + value
        elif name == "href":
            if value.startswith("#"):
                value = f"#{prefix}{value[1:]}"
            elif not value.startswith("data:image/png;base64,"):
                continue
        element.set(name, _REFERENCE.sub(rf"url(#{prefix}\1)", value))
    # White space between elements, and at the ends of a path's lines, means nothing.
    element.text = element.tail = None
    if "d" in element.attrib:
        element.set("d", " ".join(element.attrib["d"].split()))
    for child in list(element):
        if child.tag.rpartition("}")[2] in _ELEMENTS:
            _convert(child, prefix)
        else:
            element.remove(child)
