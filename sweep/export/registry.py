"""The list of all formats to which a run is exported: an additional exporter is registered here, and nowhere else."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable
from pathlib import Path

from aesweep.export.exporter import Exporter, MissingToolError


@dataclasses.dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        tool: the name of what reads it.
        needs: packages, by the names under which they are imported, that the extra of the format's name installs.
        opened_with: the command that shows an export, with {place} for its file or folder and {folder} for the latter,
            as a shell takes them, and {rows} for a file of its own as Python takes it.
        exporter: imports the exporter and creates it for a folder.
    """

    tool: str
    needs: tuple[str, ...]
    opened_with: str
    exporter: Callable[[Path], Exporter]


def _parquet(output: Path) -> Exporter:
    from aesweep.export.parquet import ParquetExporter

    return ParquetExporter(output)


def _tensorboard(output: Path) -> Exporter:
    from aesweep.export.tensorboard import TensorBoardExporter

    return TensorBoardExporter(output)


def _mlflow(output: Path) -> Exporter:
    from aesweep.export.mlflow import MlflowExporter

    return MlflowExporter(output)


def _optuna(output: Path) -> Exporter:
    from aesweep.export.optuna import OptunaExporter

    return OptunaExporter(output)


FORMATS: dict[str, Format] = {
    "parquet": Format("pandas", ("pyarrow",), "pandas.read_parquet({rows})", _parquet),
    "tensorboard": Format("TensorBoard", ("tensorboardX",), "tensorboard --logdir {place}", _tensorboard),
    "mlflow": Format("MLflow", ("mlflow", "sqlalchemy", "alembic"), "cd {folder} && mlflow ui", _mlflow),
    "optuna": Format("Optuna", ("optuna",), "optuna-dashboard sqlite:///{place}", _optuna),
}


def exporter_of(name: str, output: Path) -> Exporter:
    """Returns the exporter of a format, which writes into a folder.

    Raises:
        MissingToolError: a package that it needs is not installed.
        ExportError: the folder is none into which it can write.
    """
    missing = [needed for needed in FORMATS[name].needs if importlib.util.find_spec(needed) is None]
    if missing:
        raise MissingToolError(
            f"--to {name} needs {', '.join(missing)}, not installed here: pip install 'aesweep[{name}]', "
            f"or in a checkout: make install EXTRAS={name}"
        )
    return FORMATS[name].exporter(output)
