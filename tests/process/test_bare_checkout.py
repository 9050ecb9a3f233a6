"""A checkout in which nothing is installed, with few packages: enough for the tests and benchmarks of a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# torch with what it needs itself, and what the tests of a GPU need.
ALLOWED = (
    *("torch", "torchgen", "functorch", "triton", "numpy", "sympy", "mpmath", "networkx", "jinja2", "markupsafe"),
    *("filelock", "fsspec", "typing_extensions", "nvidia", "cuda", "setuptools"),
    *("pydantic", "pydantic_core", "annotated_types", "typing_inspection", "yaml", "_yaml"),
    *("pytest", "_pytest", "py", "pluggy", "iniconfig", "packaging", "pygments", "hypothesis", "_hypothesis_globals"),
    *("_hypothesis_ftz_detector", "_hypothesis_pytestplugin", "sortedcontainers", "attr"),
    *("sweep", "models", "data", "tests", "aesweep", "conftest", "bench_gpu", "bench_gpu_step"),
)
CODE = f"""
import sys

class Bare:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        if path is None and name not in sys.stdlib_module_names and name not in {ALLOWED!r}:
            return None
        return self.finder.find_spec(name, path, target)

sys.path[:] = ["tests/benchmarks", *(place for place in sys.path if "__editable__" not in place)]
sys.meta_path[:] = [Bare(finder) for finder in sys.meta_path if "editable" not in str(finder).lower()]
import bench_gpu, bench_gpu_step, pytest
print(bench_gpu.main, bench_gpu_step.main, sys.modules["aesweep"].__file__)
raise SystemExit(pytest.main(["-o", "addopts=", "-m", "gpu", "--collect-only", "-q", "tests/training"]))
"""


def test_tests_and_benchmarks_of_a_gpu_need_neither_ray_nor_an_installation():
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert str(ROOT / "sweep" / "__init__.py") in done.stdout
    collected = {line.partition("::")[0].rpartition("/")[2] for line in done.stdout.splitlines() if "::" in line}
    assert collected >= {"test_first_contact.py", "test_kernels.py", "test_lock_step.py"}
