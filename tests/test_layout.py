"""What may import what, and what may not be called at all: read from the syntax trees."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for part in ("sweep", "models", "data") for path in (ROOT / part).rglob("*.py"))

# The floors, from the lowest: whoever stands first in a row imports itself and what follows, and nothing of the project
# besides. Every module is in one row.
FLOORS = {
    "aesweep.process": (),
    "aesweep.models": (),
    "aesweep.data": ("process",),
    "aesweep.study": ("process", "models", "data"),
    "aesweep.storage": ("process", "data"),
    "aesweep.search": ("process", "study", "storage"),
    "aesweep.report": ("process", "study", "storage", "search"),
    "aesweep.training": ("process", "models", "data", "study", "storage", "search"),
    "aesweep.cluster": ("process", "models", "data", "study", "storage", "search", "training"),
    "aesweep.results": ("process", "study", "storage", "report", "training"),
    "aesweep.export": ("process", "results"),
    "aesweep.run": ("process", "models", "data", "study", "storage", "search", "training", "cluster", "report"),
    "aesweep.cli": ("process", "data", "study", "storage", "search", "training", "cluster", "report", "run", "export"),
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
    "yaml.load": ("Loader", "_Loader"),  # derives from yaml.SafeLoader: tests/study/test_study.py
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


def own_imports(path: Path) -> set[str]:
    """The project's modules that a module imports, also those inside functions."""
    known, found = {module_name(other) for other in MODULES}, set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if within(alias.name, "aesweep")}
        elif isinstance(node, ast.ImportFrom) and within(node.module or "", "aesweep"):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & known or {node.module}
    return found


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_module_imports_only_what_its_floor_may(path):
    name = module_name(path)
    if name == "aesweep":
        assert own_imports(path) == set()
        return
    floor = ".".join(name.split(".")[:2])
    allowed = {floor, *(f"aesweep.{part}" for part in FLOORS[floor])}
    assert {found for found in own_imports(path) if not any(within(found, part) for part in allowed)} == set()
    assert not {found for found in imports(path) if found.split(".")[0] in ("sweep", "models", "data")}
    if floor != "aesweep.cluster":
        assert not any(within(found, "ray") for found in imports(path))


def test_modules_and_folders_import_each_other_in_one_direction():
    modules = {module_name(path): own_imports(path) for path in MODULES}
    folders: dict[str, set[str]] = {}
    places = {module_name(path): str(path.parent.relative_to(ROOT)) for path in MODULES}
    for name, found in modules.items():
        folders.setdefault(places[name], set()).update(places[other] for other in found)
    for graph in (modules, folders):
        order = graphlib.TopologicalSorter({node: found - {node} for node, found in graph.items()})
        order.prepare()  # raises CycleError, which names the circle


def test_sweep_has_few_entries():
    entries = {path.name for path in (ROOT / "sweep").iterdir()} - {"__pycache__"}
    assert entries == {"__init__.py", *(name.removeprefix("aesweep.") for name in FLOORS)} - {"models", "data"}
    assert len(entries) <= 12


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=module_name)
def test_package_says_what_lives_there(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    if module_name(path) not in ("aesweep", "aesweep.data", "aesweep.report.figures", "aesweep.results"):
        assert len(tree.body) == 1  # and holds no logic


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
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize(
    "module",
    [
        "aesweep.study.schema",
        "aesweep.study.search_space",
        "aesweep.storage.journal",
        "aesweep.search.trial_spec",
        "aesweep.search.winners",
        "aesweep.search.replay",
        "aesweep.search.recorder",
        "aesweep.run.session",
        "aesweep.cli.commands",
        "aesweep.run.evaluation.baselines",
        "aesweep.report.page",
        "aesweep.report.comparison.comparison",
        "aesweep.results",
    ],
)
def test_module_needs_neither_torch_nor_ray(module):
    code = f"import sys, {module}; print([name for name in ('torch', 'ray') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "module", ["aesweep.cluster.tune.trial", "aesweep.cluster.tune.trainer", "aesweep.cluster.runner"]
)
def test_module_needs_no_torch_before_it_trains(module):
    code = f"import sys, {module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"
