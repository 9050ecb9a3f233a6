"""Images in, arrays out: data sets and how they are split. Knows nothing of models or sweeps, imports no torch."""

from aesweep.data.datasets import load_dataset
from aesweep.data.image_data import DataError, ImageData
from aesweep.data.splits import Split, split_training, subset

__all__ = ["DataError", "ImageData", "Split", "load_dataset", "split_training", "subset"]
