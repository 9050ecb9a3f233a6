"""The adapter to what Ray Tune does not promise: its version, and the names that it asks for."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
from pathlib import Path

import pytest

from aesweep.process.checkout import PACKAGE


def test_version_is_the_one_that_the_adapter_was_written_for():
    from aesweep.cluster.tune.internals import RAY_VERSION

    assert importlib.metadata.version("ray") == RAY_VERSION, "read sweep/cluster/tune/internals.py again, then raise it"


def test_names_that_the_adapter_asks_for_are_there():
    from ray.air.execution._internal.actor_manager import RayActorManager
    from ray.tune.execution.tune_controller import TuneController

    from aesweep.cluster.tune.internals import CONTROLLER_ATTRIBUTES

    source = inspect.getsource(TuneController)
    assert not [name for name in CONTROLLER_ATTRIBUTES if f"self.{name}" not in source and f"def {name}" not in source]
    assert "self._resource_request_to_pending_actors" in inspect.getsource(RayActorManager)


@pytest.mark.parametrize("path", sorted((PACKAGE / "cluster" / "tune").glob("*.py")), ids=lambda path: path.name)
def test_no_other_module_asks_for_them(path: Path):
    private = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    }
    assert path.name == "internals.py" or private == set()
