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
    "aesweep.process.user_path": set(),
    "aesweep.process.wording": set(),
    "aesweep.data": {"aesweep.data", "aesweep.process.user_path", "aesweep.process.wording"},
    "aesweep.models": {"aesweep.models"},
    "aesweep.training": {
        "aesweep.data",
        "aesweep.models",
        "aesweep.training",
        "aesweep.job",
        "aesweep.process.wording",
        "aesweep.configuration",
        "aesweep.files",
        "aesweep.leaving",
        "aesweep.run_folder",
        "aesweep.process.errors",
    },
    "aesweep.leaving": set(),
    "aesweep.files": {"aesweep.run_folder"},
    "aesweep.s3_client": set(),
    "aesweep.storage": {"aesweep.process.errors", "aesweep.files", "aesweep.run_folder", "aesweep.s3_client"},
    "aesweep.dataset_files": {"aesweep.data", "aesweep.run_folder", "aesweep.storage"},
    "aesweep.cluster_file": {"aesweep.cluster_token", "aesweep.process.errors", "aesweep.study_file"},
    "aesweep.cluster_token": set(),
    "aesweep.doctor": {
        "aesweep.data",
        "aesweep.cluster_file",
        "aesweep.cluster_token",
        "aesweep.dataset_files",
        "aesweep.environment",
        "aesweep.process.errors",
        "aesweep.storage",
        "aesweep.process.wording",
    },
    "aesweep.rehearsal": {
        "aesweep.cluster.scratch_folder",
        "aesweep.data",
        "aesweep.doctor",
        "aesweep.process.errors",
        "aesweep.inputs",
        "aesweep.report.figures.style",
        "aesweep.run_folder",
        "aesweep.process.search_path",
        "aesweep.study",
    },
    "aesweep.parcel": {"aesweep.data", "aesweep.process.errors", "aesweep.models", "aesweep.study"},
    "aesweep.fetching": {"aesweep.process.errors", "aesweep.journal", "aesweep.named_files", "aesweep.run_folder"},
    "aesweep.named_files": {"aesweep.resume", "aesweep.run_folder"},
    "aesweep.command_options": set(),
    "aesweep.image_places": {"aesweep.data", "aesweep.process.errors", "aesweep.study"},
    "aesweep.report": {
        "aesweep.report",
        "aesweep.journal",
        "aesweep.run_folder",
        "aesweep.statistics",
        "aesweep.process.errors",
        "aesweep.configuration",
        "aesweep.process.wording",
    },
    "aesweep.journal": {"aesweep.process.errors"},
    "aesweep.study": {"aesweep.search_space", "aesweep.process.wording"},
    "aesweep.study_file": {"aesweep.process.errors", "aesweep.study", "aesweep.process.user_path"},
    "aesweep.search_space": {"aesweep.configuration"},
    "aesweep.asha": set(),
    "aesweep.job": {"aesweep.configuration", "aesweep.search_space", "aesweep.study"},
    "aesweep.winners": {"aesweep.configuration", "aesweep.job"},
    "aesweep.cluster.placement": {"aesweep.job"},
    "aesweep.cluster.trial": {"aesweep.files", "aesweep.job", "aesweep.training"},
    "aesweep.cluster.trainer": {"aesweep.files", "aesweep.job", "aesweep.training"},
    "aesweep.resume": {"aesweep.asha", "aesweep.process.errors", "aesweep.job", "aesweep.study", "aesweep.study_file"},
    "aesweep.recorder": {"aesweep.asha", "aesweep.failure", "aesweep.job", "aesweep.resume"},
    "aesweep.failure": set(),
    "aesweep.extension": {
        "aesweep.configuration",
        "aesweep.process.errors",
        "aesweep.job",
        "aesweep.study",
        "aesweep.winners",
        "aesweep.process.wording",
    },
    "aesweep.outcome": set(),
    "aesweep.process.signals": set(),
    "aesweep.process.standard_streams": set(),
    "aesweep.process.environment": set(),
    "aesweep.cluster.processes": set(),
}
# What executes code that comes from a file or a text, or reads a format that can.
FORBIDDEN_IMPORTS = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "code", "runpy", "imp", "pty"}
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__", "ExperimentAnalysis"}
FORBIDDEN_CALLS = {
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "tempfile.mktemp"),
    *("yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "yaml.full_load_all", "yaml.unsafe_load_all"),
    *("pd.read_pickle", "pandas.read_pickle", "torch.hub.load", "torch.jit.load", "torch.package.PackageImporter"),
    *("importlib.import_module", "shutil.unpack_archive", "tarfile.open"),
}
FORBIDDEN_ENDINGS = ("Tuner.restore", "Tuner.can_restore", "np.loads", "numpy.loads", "get_pickled_error")
# A call may stand where it says that it is safe.
SAFE_KEYWORDS = {
    "torch.load": ("weights_only", "True"),
    "yaml.load": ("Loader", "_Loader"),  # derives from yaml.SafeLoader: tests/test_study.py
    "np.load": ("allow_pickle", "False"),
    "numpy.load": ("allow_pickle", "False"),
}


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    return f"aesweep{name.removeprefix('sweep')}" if within(name, "sweep") else f"aesweep.{name}"


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
    project = {found for found in imports(path) if found.split(".")[0] in ("aesweep", "sweep", "models", "data")}
    for allowed in rules:
        assert all(any(within(found, part) for part in allowed) for found in project), project
    if not within(name, "aesweep.cluster"):
        assert not any(within(found, "ray") for found in imports(path))


def unsafe_parts(source: str) -> list[str]:
    """What in a module executes something from a file, or could be made to."""
    tree = ast.parse(source)
    found = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in FORBIDDEN_IMPORTS]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module] if (node.module or "").split(".")[0] in FORBIDDEN_IMPORTS else []
            found += [alias.name for alias in node.names if alias.name in FORBIDDEN_NAMES]
        if isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_NAMES - {"eval", "compile"}:
            found.append(node.attr)  # a model's eval() and a pattern's compile() are others
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if called in FORBIDDEN_CALLS or called.endswith(FORBIDDEN_ENDINGS):
            found.append(called)
        if keywords.get("shell", "False") != "False":
            found.append(f"{called}(shell)")
        if called in SAFE_KEYWORDS and keywords.get(SAFE_KEYWORDS[called][0]) != SAFE_KEYWORDS[called][1]:
            found.append(called)
        if called.startswith("subprocess.") and node.args and isinstance(node.args[0], (ast.Constant, ast.JoinedStr)):
            found.append(f"{called} of a text")
    return found


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_module_executes_nothing_from_a_file(path):
    found = unsafe_parts(path.read_text())
    # From a checkout, the package's own modules answer to the folder's name as well.
    expected = ["importlib.import_module"] * 2 if module_name(path) == "aesweep" else []
    assert found == expected


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import pickle as p",
        "from cloudpickle import loads",
        "import joblib.numpy_pickle",
        "from ray.tune import ExperimentAnalysis",
        "import ray.tune; ray.tune.ExperimentAnalysis(path)",
        "eval(text)",
        "exec(open(path).read())",
        "__import__(name)",
        "tune.Tuner.restore(path, trainable)",
        "Tuner.restore(path)",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.unsafe_load(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "os.system(line)",
        "subprocess.run(line, shell=True)",
        "subprocess.run(f'ls {path}')",
        "importlib.import_module(name)",
    ],
)
def test_what_would_execute_something_is_found(source):
    assert unsafe_parts(source)


@pytest.mark.parametrize(
    "source",
    ["torch.load(path, weights_only=True)", "yaml.load(text, Loader=_Loader)", "model.eval()", "re.compile(pattern)"],
)
def test_what_is_safe_is_let_through(source):
    assert unsafe_parts(source) == []


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_module_is_one_idea_long(path):
    assert len(path.read_text().splitlines()) <= 330


@pytest.mark.parametrize(
    "module",
    [
        "aesweep.study",
        "aesweep.search_space",
        "aesweep.journal",
        "aesweep.job",
        "aesweep.winners",
        "aesweep.resume",
        "aesweep.recorder",
        "aesweep.execution",
        "aesweep.cli",
        "aesweep.comparison",
        "aesweep.report.page",
    ],
)
def test_module_needs_neither_torch_nor_ray(module):
    code = f"import sys, {module}; print([name for name in ('torch', 'ray') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["aesweep.cluster.trial", "aesweep.cluster.trainer", "aesweep.cluster.runner"])
def test_module_needs_no_torch_before_it_trains(module):
    code = f"import sys, {module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"
