"""The adapter to what Ray Tune does not promise: its version, and the names that it asks for."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from aesweep.process.checkout import PACKAGE


def test_version_is_the_one_that_the_adapter_was_written_for():
    from aesweep.cluster.tune.internals import RAY_VERSION

    assert importlib.metadata.version("ray") == RAY_VERSION, "read sweep/cluster/tune/internals.py again, then raise it"


def private_names(path: Path) -> set[str]:
    """The private attributes that a module asks others for."""
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    }


def test_names_that_the_adapter_asks_for_are_there():
    import ray._private.worker
    from ray.air.execution._internal import actor_manager
    from ray.tune.execution import tune_controller

    sources = "".join(map(inspect.getsource, (tune_controller, actor_manager, ray._private.worker)))
    names = private_names(PACKAGE / "cluster" / "tune" / "internals.py") - {"_private"}
    assert len(names) > 6
    assert not [name for name in names if not re.search(rf"\b{name}\b( = |: |\(self)", sources)]


def test_run_that_ends_before_tune_has_begun_does_not_import_it():
    code = "import sys, aesweep.cluster.tune.internals; print('ray.tune' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("path", sorted((PACKAGE / "cluster" / "tune").glob("*.py")), ids=lambda path: path.name)
def test_no_other_module_asks_for_them(path: Path):
    assert path.name == "internals.py" or private_names(path) == set()
