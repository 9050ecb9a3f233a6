"""The figures of a run's report by name, as matplotlib objects."""

from __future__ import annotations

import functools
import html
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aesweep.report.figures.style import Drawing


class Figures(Mapping[str, "Figure"]):
    """Maps the name of a figure of the report, as its file in figures/ has it, to the figure.

    They are drawn when a first one is asked for, in the report's style, whatever the user's own settings are.

    Args:
        state: the state of the run.
        folder: the run's folder, which holds the pictures.
    """

    def __init__(self, state: RunState, folder: RunFolder):
        self._state = state
        self._folder = folder

    @functools.cached_property
    def _drawings(self) -> dict[str, Drawing]:
        from aesweep.report.figures.style import styled
        from aesweep.report.sections.contents import Contents

        with styled():
            contents = Contents(self._state, self._folder)
        return {drawing.name: drawing for drawing in contents.drawings}

    def __getitem__(self, name: str) -> Figure:
        return self._drawings[name].figure

    def __iter__(self) -> Iterator[str]:
        return iter(self._drawings)

    def __len__(self) -> int:
        return len(self._drawings)

    def caption(self, name: str) -> str:
        """Returns the caption that the report gives to a figure."""
        return self._drawings[name].caption

    def save(self, name: str, path: str) -> None:
        """Writes a figure to a file; its ending says the format: .pdf, .svg or .png."""
        from aesweep.report.figures.style import styled

        with styled():
            self._drawings[name].figure.savefig(path)

    def __repr__(self) -> str:
        return "Figures: " + (", ".join(self) or "none")

    def _repr_html_(self) -> str:
        items = (f"<li><code>{html.escape(name)}</code>: {html.escape(self.caption(name))}</li>" for name in self)
        return f"<ul>{''.join(items)}</ul>"
