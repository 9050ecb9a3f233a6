"""docs/NOTEBOOK.md: its code runs, block after block, on a real run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import matplotlib
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "NOTEBOOK.md"


@pytest.fixture
def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_code_of_the_page_runs_in_order(blocks, trained_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(matplotlib, "is_interactive", lambda: False)
    shutil.copytree(trained_run, tmp_path / "runs" / "quickstart")
    assert len(blocks) >= 6
    values: dict[str, object] = {}
    with matplotlib.rc_context({"backend": "agg"}):
        for number, block in enumerate(blocks):
            # A notebook's magics are no Python.
            source = "\n".join(line for line in block.splitlines() if not line.startswith("%"))
            exec(compile(source, f"block {number}", "exec"), values)
    assert values["errors"].shape == (len(values["images"]),) and 0 < float(values["errors"].max()) < 0.1
    assert values["codes"].shape == (len(values["digits"].test), values["model"].latent_dim)
    assert values["between"].shape == (1, 1, 8, 8)
    assert len(values["small"]) >= 1 and (tmp_path / "architecture.pdf").stat().st_size > 1000


def test_every_frame_of_a_run_is_on_the_page():
    from aesweep.results.frames import FRAMES

    text = PAGE.read_text()
    assert all(f"`run.{name}`" in text for name in FRAMES)
