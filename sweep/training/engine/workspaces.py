"""The workspaces of a pack: which kind its architecture needs, and one for each number of models and batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aesweep.models.dense import Dense
from aesweep.models.family import Architecture
from aesweep.training.engine.autograd_workspace import AutogradWorkspace
from aesweep.training.engine.dense_workspace import DenseWorkspace
from aesweep.training.engine.workspace import Workspace


def workspace_type(architecture: Architecture) -> type[DenseWorkspace] | type[AutogradWorkspace]:
    """Returns the kind of workspace for an architecture: a backward pass written by hand where there is one."""
    return DenseWorkspace if isinstance(architecture, Dense) else AutogradWorkspace


class Workspaces:
    """Workspaces by number of models and batch, and gradients by number of models, shared by the stacks of a pack."""

    def __init__(self, architecture: Architecture, dtype: torch.dtype, device: str, bfloat16_products: bool = False):
        self.architecture = architecture
        self.layout = architecture.layout
        self._type = workspace_type(architecture)
        self.dtype = dtype
        self.device = device
        self.bfloat16_products = bfloat16_products
        self._workspaces: dict[tuple[int, int], Workspace] = {}
        self._gradients: dict[int, Tensor] = {}

    def get(self, num_models: int, batch: int) -> Workspace:
        """Returns the workspace for `num_models` models and batches of `batch` images."""
        key = (num_models, batch)
        if key not in self._workspaces:
            self._workspaces[key] = self._type(
                self.architecture, num_models, batch, self.dtype, self.device, self.bfloat16_products
            )
        return self._workspaces[key]

    def views(self, flat: Tensor) -> Any:
        """Returns parameters or gradients in the form that the workspaces' passes need, as views of [P] or [K, P]."""
        return self._type.views(self.architecture, flat)

    def gradient(self, num_models: int) -> Tensor:
        """Returns the buffer for the gradients of `num_models` models, [K, P]."""
        if num_models not in self._gradients:
            shape = (num_models, self.layout.num_elements)
            self._gradients[num_models] = torch.zeros(shape, dtype=self.dtype, device=self.device)
        return self._gradients[num_models]

    def release(self) -> None:
        """Releases all buffers; later calls allocate new ones."""
        self._workspaces.clear()
        self._gradients.clear()
