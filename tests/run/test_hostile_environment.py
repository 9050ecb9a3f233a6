"""A study comes to the same rows, winners, report and figures whatever the user's environment is, and says no more."""

from __future__ import annotations

import dataclasses
import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.chaos.comparison import differences

pytestmark = pytest.mark.ray

STUDY = {
    "name": "small",
    "seed": 3,
    "datasets": ["digits"],
    "stages": {
        "architecture": {
            "space": {"hidden_layers": [16], "latent_dim": {"grid": [2, 4]}, "batch_size": 64, "learning_rate": 0.003},
            "table": {"rows": "latent_dim"},
            "samples": 1,
            "epochs": 2,
        }
    },
    "retraining": {"epochs": 1, "seeds": 1},
}
BROKEN_MODULE = "raise RuntimeError('a module of the user was imported')\n"
FULL = "error: standard output: No space left on device; what was to be told is lost\n"


@dataclasses.dataclass
class Variant:
    """How the command is started: in a folder that `prepare` fills.

    Attributes:
        environment: variables; None for one that is not set.
        prepare: is given the working folder.
        before: lines of the shell before the command.
        streams: redirections.
        preexec: called in the process before it becomes the shell.
        status, said: how it ends, and what it says on stderr.
        keeps_stdout: whether stdout is this test's.
    """

    environment: dict[str, str | None] = dataclasses.field(default_factory=dict)
    prepare: Callable[[Path], None] = lambda here: None
    before: str = ""
    streams: str = ""
    preexec: Callable[[], None] | None = None
    status: int = 0
    said: str = ""
    keeps_stdout: bool = True


def strangers(here: Path) -> None:
    for name in ("torch", "ray", "numpy", "yaml", "statistics", "random", "sitecustomize", "json", "startup"):
        (here / f"{name}.py").write_text(BROKEN_MODULE)
    for name in ("models", "data", "sweep", "aesweep"):
        (here / name).mkdir()
        (here / name / "autoencoder.py").write_text(BROKEN_MODULE)
    # This one is imported by the interpreter itself, before any code of ours, and is what the user wants.
    (here / "sitecustomize.py").write_text("")


def settings_of_matplotlib(here: Path) -> None:
    (here / "matplotlibrc").write_text("text.usetex: True\nfigure.facecolor: black\naxes.formatter.use_locale: True\n")


def folders(*names: str) -> Callable[[Path], None]:
    return lambda here: [(here / name).mkdir(parents=True) for name in names] and None


def file_for_a_home(here: Path) -> None:
    (here / "file").write_text("")


PROXY = "http://127.0.0.1:9"
LONG = "a-folder-for-temporary-files-" * 4
VARIANTS = {
    "matplotlib": Variant({"MPLBACKEND": "no_such_backend", "MPLCONFIGDIR": "/nowhere"}, settings_of_matplotlib),
    "proxies": Variant(
        {
            **{name: PROXY for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "grpc_proxy")},
            **{"all_proxy": "socks5h://127.0.0.1:9", "no_proxy": None, "NO_PROXY": None},
            **{"SSL_CERT_FILE": "/nowhere", "REQUESTS_CA_BUNDLE": "/nowhere", "SSL_CERT_DIR": "/nowhere"},
        }
    ),
    "locale C": Variant(
        {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TZ": "Asia/Kolkata"}
    ),
    "locale unknown": Variant(
        {"LC_ALL": "de_DE.UTF-8", "LANGUAGE": "de", "TZ": "no/such/zone", "PYTHONIOENCODING": "ascii"}
    ),
    "TMPDIR long": Variant({"TMPDIR": LONG}, folders(LONG)),
    "TMPDIR odd": Variant({"TMPDIR": "t m#p?é&%41;$x"}, folders("t m#p?é&%41;$x")),
    "TMPDIR missing": Variant({"TMPDIR": "/no/such/folder", "TEMP": "/nowhere", "TMP": "/nowhere"}),
    "HOME missing": Variant({"HOME": None, "USER": None, "LOGNAME": None, "PATH": "/usr/bin:/bin", "SHELL": None}),
    "HOME unwritable": Variant(
        {"HOME": "file/home", "XDG_CONFIG_HOME": "file", "XDG_CACHE_HOME": "file"}, file_for_a_home
    ),
    "umask 077": Variant(before="umask 077"),
    "umask 000": Variant(before="umask 000; ulimit -Sn 64; ulimit -c 0"),
    "GPUs": Variant(
        {"CUDA_VISIBLE_DEVICES": "GPU-none", "NVIDIA_VISIBLE_DEVICES": "void", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    ),
    "no GPUs": Variant({"CUDA_VISIBLE_DEVICES": ""}),
    "stdout closed": Variant(streams=">&-", keeps_stdout=False),
    "stdout full": Variant(streams=">/dev/full", keeps_stdout=False, status=1, said=FULL),
    "stderr closed": Variant(streams="2>&-"),
    "stderr full": Variant(streams="2>/dev/full"),
    "streams closed": Variant(streams="<&- >&- 2>&-", keeps_stdout=False),
    "modules": Variant({"PYTHONPATH": ".", "PYTHONSTARTUP": "startup.py", "PYTHONSAFEPATH": None}, strangers),
    "python": Variant(
        {
            **{"PYTHONHASHSEED": "7", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PYTHONOPTIMIZE": "2"},
            **{"PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1", "PYTHONINSPECT": None, "PYTHONNOUSERSITE": "1"},
            **{"PYTHONMALLOC": "malloc", "PYTHONFAULTHANDLER": "1", "PYTHONBREAKPOINT": "no.such"},
        }
    ),
    "libraries": Variant(
        {
            **{name: "7" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")},
            **{"ATEN_CPU_CAPABILITY": "default", "OPENBLAS_CORETYPE": "Prescott", "ONEDNN_MAX_CPU_ISA": "SSE41"},
            **{"MKL_CBWR": "COMPATIBLE", "DNNL_VERBOSE": "2", "TORCH_LOGS": "+all", "PYTORCH_JIT": "0"},
            **{"NPY_DISABLE_CPU_FEATURES": "AVX2", "SOURCE_DATE_EPOCH": "0", "SCIPY_ARRAY_API": "1"},
            **{"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python", "GRPC_VERBOSITY": "debug", "GRPC_TRACE": "all"},
            **{"PANDAS_COPY_ON_WRITE": "0", "TORCH_CPP_LOG_LEVEL": "INFO", "GLOG_v": "3", "TORCH_COMPILE_DEBUG": "1"},
            **{"FORCE_COLOR": "1", "TERM": "dumb", "COLUMNS": "3", "MALLOC_PERTURB_": "7", "NVIDIA_TF32_OVERRIDE": "1"},
        }
    ),
    "ray": Variant(
        {
            **{"RAY_ADDRESS": "10.1.2.3:6379", "RAY_TMPDIR": "/nowhere", "RAY_BACKEND_LOG_LEVEL": "debug"},
            **{"RAY_RUNTIME_ENV_HOOK": "no.such", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1", "RAY_DEDUP_LOGS": "0"},
            **{"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": None, "RAY_USE_TLS": "1", "RAY_TLS_SERVER_CERT": "none"},
            **{"RAY_NAMESPACE": "x", "RAY_JOB_CONFIG_JSON_ENV_VAR": "{}", "RAY_memory_usage_threshold": "0.01"},
            **{"RAY_worker_register_timeout_seconds": "0", "RAY_CHDIR_TO_TRIAL_DIR": "1", "RAY_AIR_NEW_OUTPUT": "1"},
            **{"TUNE_RESULT_DIR": "/nowhere", "TUNE_MAX_PENDING_TRIALS_PG": "0", "TUNE_PRINT_ALL_TRIAL_ERRORS": "1"},
        }
    ),
    "working folder gone": Variant(before="mkdir gone; cd gone; rmdir ../gone"),
    "signals": Variant(
        preexec=lambda: [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGCHLD, signal.SIGHUP)]
        and signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGUSR1, signal.SIGALRM})
        and None
    ),
}  # fmt: skip
# As a user may have several of them at once; the others are tried by `make flows`.
COMBINED = ("matplotlib", "proxies", "locale unknown", "HOME unwritable", "modules", "libraries", "ray")
VARIANTS["combined"] = Variant(
    {name: value for variant in COMBINED for name, value in VARIANTS[variant].environment.items()},
    prepare=lambda here: [VARIANTS[name].prepare(here) for name in COMBINED] and None,
    before="umask 077; ulimit -Sn 256",
)


def run(here: Path, variant: Variant) -> Path:
    """The folder of a run that was made under a variant."""
    here.mkdir()
    variant.prepare(here)
    (here / "study.yaml").write_text(yaml.safe_dump(STUDY))
    # The shell itself is to see none of them: it would complain of a locale.
    unset = [word for name, value in variant.environment.items() if value is None for word in ("-u", name)]
    given = [f"{name}={value}" for name, value in variant.environment.items() if value is not None]
    runs = here / "runs"
    options = ["--runs", runs, "--workers", 1, "--quiet", "--json"]
    words = ["env", *unset, *given, sys.executable, "-m", "aesweep.cli", "run", here / "study.yaml", *options]
    command = f"exec {shlex.join(map(str, words))} {variant.streams}"
    done = subprocess.run(
        ["/bin/bash", "-c", f"{variant.before}\n{command}"],
        cwd=here, preexec_fn=variant.preexec, capture_output=True, text=True, timeout=250,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (variant.status, variant.said), done.stderr + done.stdout
    if variant.keeps_stdout:
        told = json.loads(done.stdout)
        assert (told["status"], told["report"]) == ("completed", f"{runs}/small/report.md")
    assert not list(here.rglob("aesweep-*"))  # of the folders for temporary files
    return runs / "small"


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("clean") / "here", Variant())


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "combined" else pytest.mark.flows) for name in VARIANTS]
)
def test_run_is_the_same_as_a_clean_one(clean: Path, tmp_path: Path, name: str) -> None:
    assert differences(run(tmp_path / "here", VARIANTS[name]), clean, was_full=False) == []
