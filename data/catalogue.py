"""The data sets that are known by name, and the files of those that lie in torchvision's layout."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple


class Part(NamedTuple):
    """Training or test images of a data set, and their labels.

    Attributes:
        images, labels: names of the two files.
        num_images: how many images, and labels, there must be.
    """

    images: str
    labels: str
    num_images: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the images, (N, H, W)."""
        return (self.num_images, 28, 28)


@dataclasses.dataclass(frozen=True)
class IdxDataset:
    """A data set of IDX files, `<folder>/raw/<file>`, raw or gzipped.

    Attributes:
        folder: name of torchvision's class for it, and of its folder.
        training, test: its parts.
        split: what tells it from others that lie in the same folder; "" where there are none.
        label_columns: 0 where a file of labels holds a byte for each image; otherwise how many 32-bit numbers it holds
            for each, of which the first is the class.
        is_transposed: whether the files hold columns where rows are expected.
        downloads: what torchvision's class is given beside a folder, once for each call that fetches files.
    """

    folder: str
    training: Part
    test: Part
    split: str = ""
    label_columns: int = 0
    is_transposed: bool = False
    downloads: tuple[dict[str, Any], ...] = ({},)

    @property
    def parts(self) -> tuple[Part, Part]:
        return self.training, self.test

    @property
    def image_files(self) -> list[str]:
        return [part.images for part in self.parts]

    @property
    def label_files(self) -> list[str]:
        return [part.labels for part in self.parts]


def _mnist(folder: str) -> IdxDataset:
    training, test = (
        Part(f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte", number)
        for part, number in (("train", 60_000), ("t10k", 10_000))
    )
    return IdxDataset(folder, training, test)


def _emnist(split: str, num_training: int, num_test: int) -> IdxDataset:
    """Cohen et al., 2017; labels are those of the files, which count letters from 1."""
    training, test = (
        Part(f"emnist-{split}-{part}-images-idx3-ubyte", f"emnist-{split}-{part}-labels-idx1-ubyte", number)
        for part, number in (("train", num_training), ("test", num_test))
    )
    return IdxDataset("EMNIST", training, test, split=split, is_transposed=True, downloads=({"split": split},))


def _qmnist() -> IdxDataset:
    """Yadav and Bottou, 2019: MNIST's training digits, and 60,000 test digits, of which MNIST has the first 10,000."""
    training, test = (
        Part(f"qmnist-{part}-images-idx3-ubyte", f"qmnist-{part}-labels-idx2-int", 60_000) for part in ("train", "test")
    )
    return IdxDataset("QMNIST", training, test, label_columns=8, downloads=({"what": "train"}, {"what": "test"}))


IDX_DATASETS: dict[str, IdxDataset] = {
    "mnist": _mnist("MNIST"),
    "fashion_mnist": _mnist("FashionMNIST"),
    "kmnist": _mnist("KMNIST"),
    "qmnist": _qmnist(),
    "emnist_byclass": _emnist("byclass", 697_932, 116_323),
    "emnist_bymerge": _emnist("bymerge", 697_932, 116_323),
    "emnist_balanced": _emnist("balanced", 112_800, 18_800),
    "emnist_letters": _emnist("letters", 124_800, 20_800),
    "emnist_digits": _emnist("digits", 240_000, 40_000),
    "emnist_mnist": _emnist("mnist", 60_000, 10_000),
}
KNOWN_DATASETS = ("digits", *IDX_DATASETS, "cifar10")
