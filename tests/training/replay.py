"""CUDA graphs in miniature, on the CPU: a step's operations are recorded once and repeated on the same memory.

As with the real thing, Python is not asked again, what a step makes lies where the captured step's lay, and capturing
leaves all memory as it was.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def _tensors(values: object) -> list[torch.Tensor]:
    return [item for item in tree_leaves(values) if isinstance(item, torch.Tensor)]


class Recorded(TorchDispatchMode):
    """The operations that run inside it, with the memory that they read and write.

    Attributes:
        operations: function, arguments, keywords and what came out.
        before: of each piece of memory that is older than the recording, its content when it was first touched.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple] = []
        self.before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}
        self._made: set[int] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in _tensors((args, kwargs))}
        for place, storage in given.items():
            if place not in self._made and place not in self.before:
                self.before[place] = (storage, storage.clone())
        out = function(*args, **kwargs)
        self.operations.append((function, args, kwargs, out))  # which also keeps all memory in use
        self._made |= {tensor.untyped_storage().data_ptr() for tensor in _tensors(out)} - given.keys()
        return out

    def told(self) -> list[tuple]:
        """The operations in comparable form; memory that is older than the recording by its address."""

        def seen(item: object) -> object:
            if not isinstance(item, torch.Tensor):
                return item
            made = item.untyped_storage().data_ptr() in self._made
            return ("made here" if made else item.data_ptr(), tuple(item.shape), item.dtype)

        return [
            (str(function), *map(seen, tree_leaves((args, kwargs)))) for function, args, kwargs, _ in self.operations
        ]


class Replay:
    """A captured step.

    Attributes:
        calls: how often it has been replayed.
        recorded: its operations.
    """

    def __init__(self, step: Callable[[], None]):
        self.calls = 0
        with Recorded() as self.recorded:
            step()
        for storage, content in self.recorded.before.values():
            storage.copy_(content)

    def __call__(self) -> None:
        self.calls += 1
        for function, args, kwargs, out in self.recorded.operations:
            for told, new in zip(_tensors(out), _tensors(function(*args, **kwargs)), strict=True):
                if told.data_ptr() != new.data_ptr():
                    told.copy_(new)
