"""Files of a run whose trials are on other nodes than its driver: they come home, whole, and nowhere else."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from aesweep.cluster.tune.artifact_server import FileKeeper
from aesweep.storage.artifacts import FolderFiles
from tests.cluster.local_nodes import LocalNodes

STRANGE = ["/etc/hostname", "../outside", "states/../../outside"]


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("call", ["read", "names", "remove", "write"])
def test_keeper_touches_nothing_outside_the_run(tmp_path, name, call):
    (tmp_path / "outside").write_bytes(b"untouched")
    keeper = FileKeeper(FolderFiles(tmp_path / "run"))
    with pytest.raises(PermissionError, match="no file of the run"):
        getattr(keeper, call)(name, *([b"new"] if call == "write" else []))
    assert (tmp_path / "outside").read_bytes() == b"untouched"


DRIVER = """
    import os, pathlib, signal, sys, ray
    from aesweep.cluster.tune.artifact_server import KeptFiles
    from aesweep.storage.artifacts import FolderFiles

    ray.init(address=sys.argv[1], log_to_driver=False)
    root = pathlib.Path(sys.argv[2])
    files = KeptFiles(FolderFiles(root))

    @ray.remote(resources={"far": 1})
    def elsewhere(content):
        files.write("states/a.1.safetensors", content)
        errors = []
        for call in (lambda: files.read("states/none"), lambda: files.write("states/a.1.safetensors/b", b"")):
            try:
                call()
            except OSError as error:
                errors.append(error)
        return ray.get_runtime_context().get_node_id(), files.read("states/a.1.safetensors"), len(errors)

    content = os.urandom(3_000_000)
    node, read, num_errors = ray.get(elsewhere.remote(content))
    assert node != ray.get_runtime_context().get_node_id()
    assert read == content == (root / "states" / "a.1.safetensors").read_bytes()
    assert num_errors == 2
    os.kill(ray.get(files._keeper.__ray_call__.remote(lambda keeper: os.getpid())), signal.SIGKILL)
    assert files.names("states") == ["a.1.safetensors"]
    files.remove("states/a.1.safetensors")
    files.remove("states/a.1.safetensors")
    assert files.names("states") == []
    print("done")
"""


@pytest.mark.ray
def test_files_travel_between_nodes_and_outlive_the_keepers_process(tmp_path):
    with LocalNodes([{}, {"resources": {"far": 1}}]) as nodes:
        command = [sys.executable, "-c", textwrap.dedent(DRIVER), nodes.address, str(tmp_path)]
        done = subprocess.run(command, env=nodes.environment, capture_output=True, text=True, timeout=200)
    assert done.stdout.endswith("done\n"), done.stderr
    assert not list((tmp_path / "states").iterdir())
