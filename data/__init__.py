"""Images in, arrays out: data sets and how they are split. Knows nothing of models or sweeps, imports no torch."""

from data.datasets import load_dataset
from data.image_data import DataError, ImageData
from data.splits import Split, split_training, subset

__all__ = ["DataError", "ImageData", "Split", "load_dataset", "split_training", "subset"]
