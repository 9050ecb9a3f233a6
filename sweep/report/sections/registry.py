"""The list of all sections of the page, in its order: an additional section is registered here, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

from aesweep.report.rows.types import Stage
from aesweep.report.sections.architecture import Architecture
from aesweep.report.sections.claims import claims_section
from aesweep.report.sections.codes import codes_section
from aesweep.report.sections.denoising import Denoising
from aesweep.report.sections.importance import importance_section
from aesweep.report.sections.other import Other
from aesweep.report.sections.regularization import Regularization
from aesweep.report.sections.search_cost import (
    configurations_section,
    cost_section,
    failures_section,
    search_section,
)
from aesweep.report.sections.section import DatasetView, RunView, Section, StageSection
from aesweep.report.sections.stopping import stopping_section
from aesweep.report.sections.variational import Variational
from aesweep.report.sections.winners import winners_section

STAGE_SECTIONS: list[StageSection] = [Architecture(), Regularization(), Denoising(), Variational()]
OTHER: StageSection = Other()
# These follow the sections of the stages, for each data set.
DATASET_SECTIONS: list[Callable[[DatasetView], Section | None]] = [
    winners_section,
    codes_section,
    configurations_section,
    search_section,
    stopping_section,
    importance_section,
]
# These follow the sections of the data sets.
RUN_SECTIONS: list[Callable[[RunView], Section | None]] = [claims_section, cost_section, failures_section]


def section_of(stage: Stage) -> StageSection:
    """Returns how a stage is shown."""
    return next((section for section in STAGE_SECTIONS if stage.rows in section.rows), OTHER)
