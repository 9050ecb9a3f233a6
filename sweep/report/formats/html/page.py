"""The report as one page of HTML: the sections of report.md, and every trial to explore.

Text from a run reaches the page in three ways alone: as markdown whose HTML stays text (`prose`), through the
template's escaping, and as JSON (`policy.json_text`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from aesweep.report.formats.html.assets import echarts, page_script, style_sheet
from aesweep.report.formats.html.explorer import Explorer
from aesweep.report.formats.html.figures import inline_figure
from aesweep.report.formats.html.policy import content_security_policy, json_text
from aesweep.report.formats.html.template import page_environment
from aesweep.report.rows.names import dataset_name, file_name, untaken
from aesweep.report.sections.contents import Contents
from aesweep.report.sections.preamble import HOW_TO_READ, image_facts, provenance, warning
from aesweep.report.sections.reproduction import reproduction
from aesweep.report.text.markdown import shell_block
from aesweep.report.text.table import Value


def html_page(contents: Contents, explorer: Explorer, is_live: bool = False) -> str:
    """Returns the page's text.

    Args:
        contents: what the report shows.
        explorer: the data behind it, of the same state of the run.
        is_live: whether the page comes from a server, which it asks for new rows.
    """
    environment = page_environment(Path(__file__).parent)
    page = _Page(contents, explorer)
    environment.filters.update(dataset=dataset_name)
    environment.globals.update(figure=page.figure, source=page.source, anchor=page.anchor)
    run, scripts, style = contents.run, [echarts(), page_script()], style_sheet()
    commands, where = reproduction(run)
    return (
        environment.get_template("page.html.j2")
        .render(
            run=run,
            name=run.study.get("name", "Report"),
            status=run.status,
            warning=warning(run, contents.missing),
            missing=contents.missing,
            datasets=contents.datasets,
            sections=contents.sections,
            how_to_read=HOW_TO_READ,
            image_facts=image_facts,
            command=shell_block(*commands),
            where=where,
            provenance=[] if run.status == "empty" else provenance(run, contents.origin),
            is_live=is_live,
            policy=content_security_policy(scripts, [style], is_live),
            style=Markup(style),  # noqa: S704 - files of this package
            scripts=[Markup(script) for script in scripts],  # noqa: S704
            data=json_text({**explorer.values(), "live": is_live}),
            num_trials=len(explorer.numbers),
        )
        .lstrip()
    )


class _Page:
    """What the template asks for while it is rendered: figures, sources of numbers and unique anchors."""

    def __init__(self, contents: Contents, explorer: Explorer):
        self._explorer = explorer
        self._contents = contents
        self._drawings = {drawing.name: drawing for drawing in contents.drawings}
        self._prefixes = {drawing.name: f"f{number}-" for number, drawing in enumerate(contents.drawings, start=1)}
        # Anchors that the template itself has.
        self._anchors = ["top", "live", "contents", "report", "reproduce", "source", "source-title", "data", "filters"]
        self._anchors += ["listed", "trials", "trial-table", "pages", "axis-filters"]
        self._anchors += [f"filter-{name}" for name in ("stage", "dataset", "cell", "state")]
        self._anchors += ["curves", *(f"curve-{name}" for name in ("controls", "chart", "help", "value", "legend"))]
        self._anchors += ["parallel", *(f"parallel-{name}" for name in ("entry", "part", "controls", "chart"))]

    def figure(self, name: str, alternative: str) -> Markup:
        return inline_figure(name, alternative, self._prefixes[name], self._file)

    def _file(self, name: str) -> bytes:
        stem, _, suffix = name.rpartition(".")
        return self._contents.encoded(self._drawings[stem], suffix)

    def source(self, cell: str | Value) -> dict[str, Any] | None:
        """Returns the positions of what is behind a number; None if the cell does not say, or that is not recorded."""
        if not isinstance(cell, Value):
            return None
        numbers = [self._explorer.numbers[name] for name in cell.trials if name in self._explorer.numbers]
        baseline = self._explorer.baselines.get(cell.baseline) if cell.baseline else None
        if not numbers and baseline is None:
            return None
        return {"trials": " ".join(map(str, numbers)), "baseline": baseline}

    def anchor(self, *names: str) -> str:
        """Returns an identifier for a heading that no other has, the same on every rendering."""
        found = untaken(file_name(*names).lower() or "part", self._anchors)
        self._anchors.append(found)
        return found
