"""`aesweep export`: what it says, when it ends, and that nothing of the user's goes anywhere."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from aesweep.cli.commands import commands
from aesweep.export.exporter import Exported
from aesweep.export.follow import follow
from aesweep.export.registry import FORMATS
from tests.export.exported_runs import Quiet, files_below, in_parts

MACHINE = "machine-of-somebody"
# Runs the command on a machine of that name, where every attempt to reach another one is told, and then refused.
WITHOUT_NETWORK = f"""
import os, platform, socket, sys
known = os.uname()
os.uname = lambda: os.uname_result((known[0], {MACHINE!r}, *known[2:]))
platform.node = socket.gethostname = socket.getfqdn = lambda *_: {MACHINE!r}
def refuse(*arguments, **_):
    print("NETWORK", arguments, file=sys.stderr)
    raise OSError("no network")
for name in ("getaddrinfo", "create_connection", "gethostbyname"):
    setattr(socket, name, refuse)
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
from aesweep.cli.commands import commands
for name in sys.argv[3:]:
    commands(["export", sys.argv[1], "--to", name, "--output", sys.argv[2] + "/" + name], standalone_mode=False)
"""


def invoke(*arguments: object):
    return CliRunner().invoke(commands, ["export", *map(str, arguments)], prog_name="aesweep")


class Counter:
    """An exporter that only counts."""

    def __init__(self, output: Path):
        self.output, self.seen = output, []

    def write(self, run, steps) -> Exported:
        self.seen.append(len(run.rows))
        return Exported(self.output, len(run.trials), len(run.rows))


def test_a_missing_tool_is_told_with_the_command_that_installs_it(trained, tmp_path, monkeypatch):
    monkeypatch.setitem(FORMATS, "optuna", dataclasses.replace(FORMATS["optuna"], needs=("no_such_tool",)))
    done = invoke(trained.folder.root, "--to", "optuna", "--output", tmp_path / "out")
    assert done.exit_code == 1 and not (tmp_path / "out").exists()
    assert done.stderr == (
        "error: --to optuna needs no_such_tool, not installed here: pip install 'aesweep[optuna]', "
        "or in a checkout: make install EXTRAS=optuna\n"
    )


def test_every_format_has_an_extra_that_installs_what_it_needs():
    import tomllib

    values = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    for name, known in FORMATS.items():
        extra = [
            requirement.partition("==")[0].lower() for requirement in values["project"]["optional-dependencies"][name]
        ]
        for needed in known.needs:
            assert any(requirement in (needed.lower(), f"{needed}-skinny") for requirement in extra), needed


def test_the_command_says_where_the_export_is_and_what_opens_it(trained, tmp_path):
    done = invoke(trained.folder.root, "--to", "parquet", "--output", tmp_path / "a folder", "--json")
    values = json.loads(done.stdout)
    assert values == {"place": str(tmp_path / "a folder"), "trials": 29, "epochs": len(trained.rows)}
    assert len(trained.trials) + len(trained.retrainings) == 29
    assert f"pandas opens it: pandas.read_parquet('{tmp_path}/a folder/rows.parquet')" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("--to", "excel"), ("--to", "parquet", "--folow")])
def test_a_wrong_use_is_told(trained, arguments):
    assert invoke(trained.folder.root, *arguments).exit_code == 2


def test_a_folder_that_is_no_run_is_told(tmp_path):
    done = invoke(tmp_path, "--to", "parquet")
    assert done.exit_code == 73 and "is not a run" in done.stderr and not (tmp_path / "exports").exists()


def test_following_exports_what_is_new_until_the_run_ends(trained, tmp_path):
    known, record = in_parts(trained, tmp_path, 5)
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) % 2:  # at every other time nothing is new
            record()

    exporter = Counter(tmp_path)
    passes = list(follow(known.folder.root, exporter, Quiet(), wait))
    assert exporter.seen == [exported.num_rows for _, exported in passes]
    assert len(passes) == 5 and passes[-1][0].status == "completed"
    assert exporter.seen == sorted(exporter.seen) and exporter.seen[-1] == len(trained.rows)
    assert all(seconds >= 1 for seconds in waits)


def test_ctrl_c_ends_following_with_everything_exported(trained, tmp_path):
    known, record = in_parts(trained, tmp_path, 3)
    command = [sys.executable, "-m", "aesweep.cli", "export", known.folder.root, "--to", "parquet", "--follow"]
    rows = known.folder.root / "exports" / "parquet" / "rows.parquet"

    def exported(count: int) -> bool:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and running.poll() is None:
            if rows.exists() and len(pd.read_parquet(rows)) >= count:
                return True
            time.sleep(0.2)
        return False

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert exported(1)
        record()
        assert exported(len(known.reload().rows))
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130 and "Traceback" not in said and "new epochs" in said
    pd.testing.assert_frame_equal(pd.read_parquet(rows), known.reload().rows, check_dtype=False)


def test_nothing_of_the_user_is_written_or_sent(trained, tmp_path):
    names = [name for name, known in FORMATS.items() if all(map(importlib.util.find_spec, known.needs))]
    home, user = tmp_path / "home-of-somebody", "somebody-at-work"
    home.mkdir()
    # Without the variables by which MLflow knows tests and their machines, and holds its tongue.
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    environment = {
        **kept,
        **{"HOME": str(home), "USER": user, "LOGNAME": user, "USERNAME": user},
        **{"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_EXPERIMENT_NAME": user},
        **{"OPTUNA_STORAGE": "sqlite:////nowhere/at.db", "TENSORBOARD_LOGDIR": "/nowhere"},
    }
    out = tmp_path / "out"
    command = [sys.executable, "-c", WITHOUT_NETWORK, str(trained.folder.root), str(out), *names]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=home, timeout=280)
    assert done.returncode == 0 and "NETWORK" not in done.stderr, done.stderr
    files = files_below(out)
    assert {path.split("/")[0] for path in files} == set(names)
    for secret in (user, "home-of-somebody", str(tmp_path), MACHINE):
        assert not [path for path, content in files.items() if secret.encode() in content or secret in path], secret
    # The home is the working folder as well. matplotlib, of which pictures are a part, keeps its list of fonts there.
    left = [path for path in home.rglob("*") if path.is_file() and path.parent.name != "matplotlib"]
    assert left == []
