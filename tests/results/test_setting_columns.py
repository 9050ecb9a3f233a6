"""The settings of a package's family are columns, and parameters of exports; the package is not needed to read them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from aesweep.results import LoadedRun, load_run
from aesweep.results.columns import description
from aesweep.study.configuration import Configuration
from tests.report.synthetic import Synthetic

FAMILY = "lab_residual"
EACH = {
    "deep": {"grid": [True, False], "when": {}},
    "kernels": {"value": [3, 5], "when": {}},
    "kind": {"choice": ["gelu", "relu"], "when": {}},
    "rate": {"uniform": [0.0, 2.0], "when": {}},
    "size": {"choice": [8, "auto"], "when": {}},
    "width": {"grid": [8, 16], "when": {}},
}
WHOLE = [{"deep": True, "kernels": [3], "kind": "gelu", "rate": 1.0, "size": "auto", "width": 8}]


def lab(width: int, deep: bool, rate: float, kind: str, size: Any, kernels: tuple[int, ...] = (3, 5)) -> Configuration:
    options = {"deep": deep, "kernels": kernels, "kind": kind, "rate": rate, "size": size, "width": width}
    return Configuration((), 15, family=FAMILY, options=tuple(sorted(options.items())))


class Lab(Synthetic):
    """A stage whose table's axes are settings, and one in which a dense model stands beside the package's."""

    def __init__(self):
        super().__init__(reference=False)
        self._start()
        shared = {"family": {"value": FAMILY, "when": {}}, "latent_dim": {"value": 15, "when": {}}}
        both = {"family": {"grid": ["dense", FAMILY], "when": {}}, "latent_dim": {"value": 15, "when": {}}}
        self.events[0]["study"]["stages"] = {
            "settings": {"space": {**shared, "options": EACH}},
            "families": {"space": {**both, "options": {"grid": WHOLE, "when": {"family": FAMILY}}}},
        }
        self._search("settings", "validation_mse", {"rows": "options.width", "columns": "options.deep"})
        self._search("families", "validation_mse", {"rows": "latent_dim", "columns": "model"})

    def _configurations(self, stage: str, dataset: str) -> list[Configuration]:
        if dataset != "mnist":
            return []
        if stage == "families":
            return [Configuration((1024,), 15), lab(8, True, 1.0, "gelu", "auto", (3,))]
        drawn = [(0.5, "gelu", 8), (1.5, "relu", "auto")]
        return [lab(width, deep, *more) for width in (8, 16) for deep in (True, False) for more in drawn]

    def _final(self, stage: str | None, dataset: str, c: Configuration) -> tuple[float, float]:
        return 0.01, 0.01 + 1e-4 * c.value_of("options.width") if c.options else 0.02


@pytest.fixture(scope="module")
def made() -> Lab:
    return Lab()


@pytest.fixture(scope="module")
def run(made: Lab, tmp_path_factory: pytest.TempPathFactory) -> LoadedRun:
    return load_run(made.write(tmp_path_factory.mktemp("runs") / "lab").root)


def recorded(made: Lab) -> dict[str, dict[str, Any]]:
    """The settings of each trial, as its event has them."""
    created = [event for event in made.events if event["kind"] == "trial_created"]
    return {event["trial"]: event["configuration"].get("options", {}) for event in created}


def shown(value: Any) -> Any:
    return "-".join(map(str, value)) if isinstance(value, list) else value


@pytest.mark.parametrize("name", ["trials", "rows", "cells", "winners"])
def test_every_setting_is_a_column_of_its_values(run: LoadedRun, made: Lab, name: str):
    frame, expected = run.frame(name), recorded(made)
    assert len(frame) >= 2
    types = {"width": "Int64", "deep": "boolean", "rate": "float64", "kind": "str", "size": "str", "kernels": "str"}
    for setting, dtype in types.items():
        values = frame[f"options.{setting}"]
        # Without a missing value the plain types of the same kinds.
        assert str(values.dtype) in (dtype, {"Int64": "int64", "boolean": "bool"}.get(dtype))
        for trial, value in zip(frame["trial"], values, strict=True):
            found = shown(expected[trial].get(setting))
            assert pd.isna(value) if found is None else value == (str(found) if dtype == "str" else found)
    assert description(frame).loc["options.width", "meaning"] == "setting width of a family that a package offers"


def test_cells_of_settings_have_their_axes(run: LoadedRun):
    mine = run.cells.query("stage == 'settings'")
    cells = set(mine[["options.width", "options.deep"]].itertuples(index=False, name=None))
    assert cells == {(8, True), (8, False), (16, True), (16, False)}
    assert len(run.trials[run.trials["options.width"] == 16]) == 4


def test_types_do_not_wait_for_the_values_to_come(made: Lab, tmp_path: Path):
    """Of a setting that takes 8 and "auto" the first trials have 8; of a rate they may have a whole one."""
    few = Lab()
    ends = next(index for index, event in enumerate(few.events) if event["kind"] == "trial_created")
    few.events = few.events[: ends + 1]
    first = load_run(few.write(tmp_path / "few").root).trials
    assert len(first) == 1 and first["options.size"].iloc[0] == "8"
    assert str(first["options.rate"].dtype) == "float64" and str(first["options.width"].dtype) == "int64"


def test_axes_are_those_of_the_settings(run: LoadedRun):
    axes = run.axes("settings")
    assert axes["options.width"].values == (8, 16) and axes["options.deep"].values == (True, False)
    assert axes["options.size"].values == ("8", "auto") and axes["options.kernels"].values == ("3-5",)
    assert axes["options.rate"].way == "uniform" and "options" not in axes
    assert set(run.axes("families")) == {"family", "latent_dim", "options"}


class Quiet:
    def begin(self, title: str, total: int) -> None:
        pass

    def advance(self, count: int = 1) -> None:
        pass


def test_optuna_has_a_parameter_for_each_axis(run: LoadedRun, made: Lab, tmp_path: Path):
    optuna = pytest.importorskip("optuna", reason="NOT RUN: pip install 'aesweep[optuna]'")
    from aesweep.export.optuna import OptunaExporter

    OptunaExporter(tmp_path).write(run, Quiet())
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'optuna.db'}")
    study = optuna.load_study(study_name="lab/settings/mnist", storage=storage)
    expected = recorded(made)
    assert len(study.trials) == 8
    for trial in study.trials:
        settings = expected[trial.user_attrs["aesweep_trial"]]
        names = ("deep", "kind", "rate", "size", "width")  # one value alone is no parameter
        assert trial.params == {f"options.{name}": settings[name] for name in names} | {
            "options.size": str(settings["size"])
        }
    space = trial.distributions
    assert space["options.rate"] == optuna.distributions.FloatDistribution(0.0, 2.0)
    assert space["options.width"] == optuna.distributions.CategoricalDistribution((8, 16))


def test_parquet_keeps_the_types(run: LoadedRun, tmp_path: Path):
    pytest.importorskip("pyarrow", reason="NOT RUN: pip install 'aesweep[parquet]'")
    from aesweep.export.parquet import ParquetExporter

    ParquetExporter(tmp_path / "out").write(run, Quiet())
    frame = pd.read_parquet(tmp_path / "out" / "trials.parquet").set_index("trial")
    for name, expected in run.trials.set_index("trial").iterrows():
        for setting in ("options.width", "options.deep", "options.rate", "options.kind"):
            found = frame.loc[name, setting]
            missing = pd.isna(expected[setting])
            assert pd.isna(found) if missing else found == expected[setting] or math.isclose(found, expected[setting])
