"""Access to a run's files from any node of a cluster, through an actor on the driver's node."""

from __future__ import annotations

from pathlib import PurePosixPath

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from aesweep.storage.artifacts import Files


class FileKeeper:
    """The actor that reads and writes the files; its methods are those of `aesweep.storage.artifacts.Files`.

    Args:
        files: the run's files, as they are accessed from the driver's node.
    """

    def __init__(self, files: Files):
        self._files = files

    def write(self, name: str, content: bytes) -> None:
        self._files.write(_inside(name), content)

    def read(self, name: str) -> bytes:
        return self._files.read(_inside(name))

    def names(self, folder: str) -> list[str]:
        return self._files.names(_inside(folder))

    def remove(self, name: str) -> None:
        self._files.remove(_inside(name))


class KeptFiles:
    """Files on the driver's node, for use on any node; each call blocks until the actor has answered.

    Args:
        files: the run's files, as they are accessed from this process, which must run on a node of the cluster.
    """

    def __init__(self, files: Files):
        # Every call is idempotent, so an actor that was killed is restarted and the call is retried.
        options = {"num_cpus": 0, "max_concurrency": 8, "max_restarts": -1, "max_task_retries": -1}
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor = ray.remote(FileKeeper).options(scheduling_strategy=here, **options)
        self._keeper = actor.remote(files)

    def write(self, name: str, content: bytes) -> None:
        self._ask("write", name, content)

    def read(self, name: str) -> bytes:
        return self._ask("read", name)

    def names(self, folder: str) -> list[str]:
        return self._ask("names", folder)

    def remove(self, name: str) -> None:
        self._ask("remove", name)

    def _ask(self, method: str, *arguments: str | bytes) -> bytes | list[str] | None:
        try:
            return ray.get(getattr(self._keeper, method).remote(*arguments))
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None  # the actor's own error, such as a full disk, as if raised here
        except ray.exceptions.RayActorError as error:
            raise OSError(f"the run's files cannot be reached: {str(error).splitlines()[0]}") from error


def _inside(name: str) -> str:
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise PermissionError(f"{name!r} is no file of the run")
    return name
