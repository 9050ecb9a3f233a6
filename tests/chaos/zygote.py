"""Starts drivers faster than Python does: everything is imported once, and each command runs in a fork of that.

Reads a JSON object a line, {"arguments": [...], "log": file}; answers with the fork's process number, and with its exit
status (as `os.waitpid` has it) once it has ended. A fork does what the installed command does.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys

IMPORTED = (
    "matplotlib.pyplot",
    "pandas",
    "ray.tune",
    "skimage.metrics",
    "sklearn.decomposition",
    "torch",
    "aesweep.cluster.tune.scheduler",
    "aesweep.run.evaluation.baselines",
    "aesweep.run.evaluation.example_images",
    "aesweep.report.page",
    "aesweep.run.driver",
)


def serve() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the harness ends this process by closing its input
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become_command(**order)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(status, flush=True)


def _become_command(arguments: list[str], log: str) -> None:
    from aesweep.cli.commands import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, target in ((0, nothing), (1, handle), (2, handle)):
        os.dup2(target, number)
    sys.argv = ["aesweep", *arguments]
    code: object = 1
    try:
        main()
    except SystemExit as error:
        code = error.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # The fork's own libraries would wait for threads that only their parent has.
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    serve()
