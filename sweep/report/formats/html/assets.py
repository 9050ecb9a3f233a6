"""The page's scripts and style sheet, which are files of the package.

Charts are drawn by Apache ECharts, a copy of whose full build lies beside them: it is the smallest build that has
parallel coordinates. `make echarts` brings another version.
"""

from __future__ import annotations

import functools
from pathlib import Path

FOLDER = Path(__file__).parent / "assets"
ECHARTS = FOLDER / "echarts.min.js"
ECHARTS_VERSION = "6.1.0"
ECHARTS_SHA256 = "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0"
# In the order in which they build on each other.
SCRIPTS = (
    "store",
    "elements",
    "tables",
    "sources",
    "filters",
    "trials",
    "charts",
    "curves",
    "parallel",
    "live",
    "start",
    "sorting",
)


@functools.cache
def echarts() -> str:
    return ECHARTS.read_text()


@functools.cache
def page_script() -> str:
    return _script(*SCRIPTS)


@functools.cache
def sorting_script() -> str:
    """Returns the script of a page that has tables to sort and nothing else to explore."""
    return _script("elements", "tables", "sorting")


def _script(*names: str) -> str:
    parts = "\n".join((FOLDER / f"{name}.js").read_text() for name in names)
    return f'(function () {{\n"use strict";\n{parts}}})();\n'


@functools.cache
def style_sheet() -> str:
    return (FOLDER / "page.css").read_text()
