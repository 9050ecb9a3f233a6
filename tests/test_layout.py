"""What may import what, and what may not be called at all: read from the syntax trees."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for part in ("sweep", "models", "data") for path in (ROOT / part).rglob("*.py"))

# Whoever stands first in a row may import what follows, and nothing of the project besides.
ALLOWED = {
    "data": {"data"},
    "models": {"models"},
    "sweep.training": {
        "data",
        "models",
        "sweep.training",
        "sweep.job",
        "sweep.configuration",
        "sweep.files",
        "sweep.run_folder",
        "sweep.errors",
    },
    "sweep.files": {"sweep.run_folder"},
    "sweep.storage": {"sweep.errors", "sweep.files", "sweep.run_folder"},
    "sweep.cluster_file": {"sweep.errors", "sweep.study_file"},
    "sweep.doctor": {"sweep.cluster_file", "sweep.environment", "sweep.errors"},
    "sweep.parcel": {"sweep.errors", "sweep.study"},
    "sweep.fetching": {"sweep.errors", "sweep.journal", "sweep.run_folder"},
    "sweep.report": {
        "sweep.report",
        "sweep.journal",
        "sweep.run_folder",
        "sweep.statistics",
        "sweep.errors",
        "sweep.configuration",
    },
    "sweep.journal": {"sweep.errors"},
    "sweep.study": {"sweep.search_space"},
    "sweep.study_file": {"sweep.errors", "sweep.study"},
    "sweep.search_space": {"sweep.configuration"},
    "sweep.asha": set(),
    "sweep.job": {"sweep.configuration", "sweep.search_space", "sweep.study"},
    "sweep.winners": {"sweep.configuration", "sweep.job"},
    "sweep.resume": {"sweep.asha", "sweep.errors", "sweep.job", "sweep.study", "sweep.study_file"},
    "sweep.recorder": {"sweep.asha", "sweep.failure", "sweep.job", "sweep.resume"},
    "sweep.failure": set(),
    "sweep.outcome": set(),
}
FORBIDDEN_NAMES = {"pickle", "cloudpickle", "dill", "marshal", "shelve", "ExperimentAnalysis", "eval", "exec"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def within(name: str, part: str) -> bool:
    return name == part or name.startswith(part + ".")


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_module_imports_only_what_its_layer_may(path):
    name = module_name(path)
    rules = [allowed for layer, allowed in ALLOWED.items() if within(name, layer)]
    project = {found for found in imports(path) if found.split(".")[0] in ("sweep", "models", "data")}
    for allowed in rules:
        assert all(any(within(found, part) for part in allowed) for found in project), project
    if not within(name, "sweep.cluster"):
        assert not any(within(found, "ray") for found in imports(path))


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_module_executes_nothing_from_a_file(path):
    tree = ast.parse(path.read_text())
    assert not {found.split(".")[0] for found in imports(path)} & FORBIDDEN_NAMES
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            assert node.id not in FORBIDDEN_NAMES
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        assert called not in ("os.system", "os.popen", "Tuner.restore", "tune.Tuner.restore", "yaml.unsafe_load")
        assert keywords.get("shell", "False") == "False"
        if called == "torch.load":
            assert keywords.get("weights_only") == "True"
        if called == "yaml.load":
            assert keywords.get("Loader") == "_Loader", "only the loader that derives from yaml.SafeLoader"
        if called.endswith("np.load"):
            assert keywords.get("allow_pickle") == "False"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_module_is_one_idea_long(path):
    assert len(path.read_text().splitlines()) <= 330


@pytest.mark.parametrize(
    "module",
    [
        "sweep.study",
        "sweep.search_space",
        "sweep.journal",
        "sweep.job",
        "sweep.winners",
        "sweep.resume",
        "sweep.recorder",
        "sweep.execution",
        "sweep.cli",
        "sweep.comparison",
        "sweep.report.page",
    ],
)
def test_module_needs_neither_torch_nor_ray(module):
    code = f"import sys, {module}; print([name for name in ('torch', 'ray') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
