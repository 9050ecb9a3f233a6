"""The page of a comparison as one file of HTML: the blocks of the markdown page, with tables that can be sorted.

Text from a run reaches it as markdown whose HTML stays text, and through the template's escaping.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from aesweep.report.comparison.blocks import Block, Bullets, Heading, Paragraph
from aesweep.report.formats.html.assets import sorting_script, style_sheet
from aesweep.report.formats.html.policy import content_security_policy
from aesweep.report.formats.html.template import page_environment


def comparison_html(blocks: Sequence[Block]) -> str:
    """Returns the page, which begins with a heading."""
    environment = page_environment(Path(__file__).parent)
    headings = [block for block in blocks if isinstance(block, Heading)]
    script, style = sorting_script(), style_sheet()
    return environment.get_template("page.html.j2").render(
        title=headings[0].text,
        headings=[(heading, f"part-{number}") for number, heading in enumerate(headings, 1)],
        blocks=[(_kind(block), block) for block in blocks],
        policy=content_security_policy([script], [style]),
        style=Markup(style),  # noqa: S704 - files of this package
        scripts=[Markup(script)],  # noqa: S704
    )


def _kind(block: Block) -> str:
    match block:
        case Heading():
            return "heading"
        case Paragraph():
            return "paragraph"
        case Bullets():
            return "bullets"
    return "table"
