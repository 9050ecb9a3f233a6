"""Loads data sets of images as arrays, and splits them. Depends neither on models nor on sweeps, nor on torch."""

from aesweep.data.datasets import load_dataset
from aesweep.data.image_data import DataError, ImageData
from aesweep.data.splits import Split, split_training, subset

__all__ = ["DataError", "ImageData", "Split", "load_dataset", "split_training", "subset"]
