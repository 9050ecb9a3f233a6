"""A report looks the same whatever the user has told matplotlib, the locale or the working folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib
import pytest
from synthetic import Synthetic

from aesweep.report.figures.style import styled
from aesweep.report.page import write_report
from aesweep.storage.run_folder import RunFolder

DARK = "figure.facecolor: black\ntext.color: white\naxes.edgecolor: white\nlines.linestyle: --\nsavefig.bbox: tight\n"
SCRIPT = """
import json, os, sys
from pathlib import Path
from aesweep.report.page import write_report
before = dict(os.environ), os.getcwd()
write_report(Path(sys.argv[1]))
print(json.dumps((dict(os.environ), os.getcwd()) == before))
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of one stage on one data set, with its report."""
    synthetic = Synthetic(reference=False, datasets=("mnist",))
    synthetic._start()
    synthetic._search("architecture", "validation_mse", {"rows": "latent_dim", "columns": "hidden_layers"})
    synthetic._add("run_ended", status="completed", seconds=1.0)
    folder = synthetic.write(tmp_path_factory.mktemp("runs") / "small")
    write_report(folder)
    return folder


def in_working_folder(content: bytes) -> Callable[[Path], dict[str, str]]:
    def prepare(here: Path) -> dict[str, str]:
        (here / "matplotlibrc").write_bytes(content)
        return {}

    return prepare


def named(content: bytes) -> Callable[[Path], dict[str, str]]:
    def prepare(here: Path) -> dict[str, str]:
        (here / "settings").write_bytes(content)
        return {"MATPLOTLIBRC": str(here / "settings")}

    return prepare


def in_home(here: Path) -> dict[str, str]:
    folder = here / "home" / ".config" / "matplotlib"
    (folder / "stylelib").mkdir(parents=True)
    (folder / "matplotlibrc").write_text(DARK + "text.usetex: True\n")
    (folder / "stylelib" / "classic.mplstyle").write_bytes(b"\xff\xfe: broken\n")
    return {"HOME": str(here / "home"), "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": ""}


def pipe(here: Path) -> dict[str, str]:
    os.mkfifo(here / "matplotlibrc")
    return {}


def unwritable(here: Path) -> dict[str, str]:
    (here / "file").touch()
    return {"MPLCONFIGDIR": str(here / "file" / "below"), "HOME": "/nonexistent"}


VARIANTS: dict[str, Callable[[Path], dict[str, str]]] = {
    "usetex": in_working_folder(b"text.usetex: True\n"),
    "dark": named(DARK.encode()),
    "undecodable": in_working_folder(b"\xff\xfe\x00figure.facecolor: black\n"),
    "undecodable-named": named(b"\xff\xfe\x00\n"),
    "invalid": in_working_folder(b"no such key: 1\nlines.linewidth: thick\n"),
    "pipe": pipe,
    "home": in_home,
    "unwritable": unwritable,
    "backend": lambda _: {"MPLBACKEND": "no_such_backend"},
    "locale": named(b"axes.formatter.use_locale: True\n"),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_users_settings_do_not_reach_a_figure(small: RunFolder, tmp_path: Path, variant: str) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.root.mkdir()
    folder.journal.write_bytes(small.journal.read_bytes())
    here = tmp_path / "here"
    here.mkdir()
    environment = {**os.environ, "LC_ALL": "de_DE.UTF-8", **VARIANTS[variant](here)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder.root)],
        cwd=here, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stderr == "" and json.loads(done.stdout) is True
    for part in ("figures", "tables", "report.md"):
        for file in sorted((small.root / part).rglob("*")) or [small.root / part]:
            assert (folder.root / part / file.relative_to(small.root / part)).read_bytes() == file.read_bytes()


def test_settings_made_by_an_earlier_import_are_put_aside_and_back(small: RunFolder, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.root.mkdir()
    folder.journal.write_bytes(small.journal.read_bytes())
    theirs = {"figure.facecolor": "black", "text.usetex": True, "axes.formatter.use_locale": True, "font.size": 40}
    with matplotlib.rc_context(theirs):
        write_report(folder)
        assert {name: matplotlib.rcParams[name] for name in theirs} == theirs
    for file in small.figures.iterdir():
        assert (folder.figures / file.name).read_bytes() == file.read_bytes()


def test_all_of_matplotlibs_settings_are_its_own_or_our_style() -> None:
    with matplotlib.rc_context({"image.cmap": "jet", "savefig.dpi": 7, "path.sketch": (1, 2, 3)}), styled():
        for name in ("image.cmap", "savefig.dpi", "path.sketch"):
            assert matplotlib.rcParams[name] == matplotlib.rcParamsDefault[name]
