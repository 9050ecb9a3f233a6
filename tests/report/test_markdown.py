"""Numbers as they are rounded, and text that cannot break out of its place."""

from __future__ import annotations

import pytest

from aesweep.report.analysis.statistics import Estimate
from aesweep.report.rows.names import axis_value, drawn_value, file_name
from aesweep.report.text.markdown import code, inert, listing
from aesweep.report.text.numbers import decimals, interval, number
from aesweep.report.text.table import Table


@pytest.mark.parametrize(
    ("value", "quantity", "expected"),
    [
        (0.00139, "mse", "0.00139"),
        (0.0013949, "mse", "0.00139"),
        (0.0675, "mse", "0.0675"),
        (0.1, "mse", "0.100"),
        (0.000000123, "mse", "1.23e-07"),
        (22.137, "psnr_db", "22.14"),
        (0.9876, "ssim", "0.988"),
        (None, "mse", "–"),
        (float("nan"), "mse", "–"),
    ],
)
def test_numbers(value: float | None, quantity: str, expected: str) -> None:
    assert number(value, quantity) == expected


@pytest.mark.parametrize(
    ("mean", "half_width", "quantity", "expected"),
    [
        (0.00139, 0.00002, "mse", "0.00139 ± 0.00002"),
        (0.00139, 0.0004, "mse", "0.00139 ± 0.00040"),
        (0.00139, 0.000004, "mse", "0.001390 ± 0.000004"),
        (0.00139, 0.0, "mse", "0.00139 ± 0.00000"),
        (0.00139, None, "mse", "0.00139"),
        (22.1, 0.123, "psnr_db", "22.10 ± 0.12"),
    ],
)
def test_intervals_share_their_decimals(mean: float, half_width: float | None, quantity: str, expected: str) -> None:
    assert interval(Estimate(mean, half_width, 5), quantity) == expected


def test_published_numbers_keep_their_decimals() -> None:
    assert decimals([0.061, 0.04, 0.0395]) == ["0.0610", "0.0400", "0.0395"]
    assert decimals([0.061, 0.04]) == ["0.061", "0.040"]


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "![x](http://e.org/a.png)", "a | b", "`a`", "**b**\n# c"]
)
def test_text_is_inert(text: str) -> None:
    shown = inert(text)
    assert "<" not in shown and "\n" not in shown and "://" not in shown
    for sign in "`*[|":
        assert all(shown[i - 1] == "\\" for i, letter in enumerate(shown) if letter == sign)


def test_code_cannot_be_left() -> None:
    assert code("a`b|c\nd") == "`a'b\\|c d`"


def test_axis_values() -> None:
    assert axis_value("hidden_layers", (512, 128)) == "512-128"
    assert axis_value("options", (("kind", "gelu"), ("width", 16))) == "kind gelu, width 16"
    assert axis_value("regularizer", "l1_l2") == "L1 + L2"
    assert drawn_value("learning_rate", 0.0012345678) == "0.001235" and drawn_value("regularizer", "l1") == "L1"
    assert axis_value("learning_rate", 0.00010001) != axis_value("learning_rate", 0.00010002)
    assert axis_value("learning_rate", 5.0e-4) == "0.0005" and axis_value("l1", 1e-8) == "1e-08"


def test_names_of_files_stay_in_their_folder() -> None:
    assert file_name("../x", "a b") == "_x-a_b"


def test_listing_and_table() -> None:
    assert listing(["a", "b", "c"]) == "a, b and c"
    assert Table(["n", "v"], [["a", "0.10"]]).markdown.splitlines()[2] == "| a   | 0.10 |"
    assert Table(["n"], []).markdown == ""
