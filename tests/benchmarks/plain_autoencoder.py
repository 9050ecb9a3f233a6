"""The rivals' network and its loop over an epoch, as in PyTorch's examples; nothing of this project is used."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import DataLoader


class Autoencoder(nn.Module):
    """784-512-128-100 and back, GELU after hidden layers, sigmoid at the end."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 512), nn.GELU(), nn.Linear(512, 128), nn.GELU(), nn.Linear(128, 100)
        )
        self.decoder = nn.Sequential(
            nn.Linear(100, 128), nn.GELU(), nn.Linear(128, 512), nn.GELU(), nn.Linear(512, 784), nn.Sigmoid()
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(images))


def train_epoch(model: nn.Module, loader: DataLoader, optimizer: torch.optim.Optimizer) -> float:
    """Trains on every batch of images [B, 1, 28, 28] once; returns the mean loss over images."""
    criterion = nn.MSELoss()
    total, count = 0.0, 0
    for images, _ in loader:
        optimizer.zero_grad()
        loss = criterion(model(images), images.flatten(1))
        loss.backward()
        optimizer.step()
        total += loss.item() * len(images)
        count += len(images)
    return total / count
