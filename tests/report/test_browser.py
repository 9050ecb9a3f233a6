"""report.html as readers use it, in a headless Chromium with the network off: `make test-browser`.

The browser is one that the machine has: Debian's, or the one that AESWEEP_CHROMIUM names.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from many_trials import many_trials
from synthetic import write_events

from aesweep.report.page import write_report
from aesweep.report.rows.types import Run
from aesweep.storage.run_folder import RunFolder

CHROMIUM = os.environ.get("AESWEEP_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine (AESWEEP_CHROMIUM names one)"),
]
# No connection of the browser's own, so that the console is the page's alone.
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
Opener = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Opener]:
    """Opens a page, and asserts in the end that it wrote nothing to the console and asked for nothing."""
    contexts, messages = [], []

    def open_page(address: Path | str, width: int = 1300, scheme: str = "light", offline: bool = True) -> Any:
        size = {"width": width, "height": 900}
        contexts.append(browser.new_context(viewport=size, color_scheme=scheme, offline=offline))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        if isinstance(address, Path):
            page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else messages.append(r.url))
            address = f"file://{address}"
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert messages == []


def column(page: Any, table: int, number: int) -> list[str]:
    return page.evaluate(
        "([table, column]) => [...document.querySelectorAll('table.sortable')[table].tBodies[0].rows]"
        ".map((row) => row.cells[column].textContent.trim())",
        [table, number],
    )


def test_a_click_on_a_heading_sorts_numbers_as_numbers(opened: Opener, folder: RunFolder) -> None:
    page = opened(folder.page)
    heading = page.locator("table.sortable").first.locator("th", has_text="PCA")
    before = column(page, 0, 4)
    assert heading.get_attribute("aria-sort") == "none"
    heading.locator("button").click()
    assert column(page, 0, 4) == sorted(before, key=float) and heading.get_attribute("aria-sort") == "ascending"
    heading.locator("button").click()
    assert column(page, 0, 4) == sorted(before, key=float, reverse=True)
    assert heading.get_attribute("aria-sort") == "descending"


def test_numbers_with_intervals_sort_and_what_is_missing_comes_last(opened: Opener, folder: RunFolder) -> None:
    page = opened(folder.page)
    tables = page.locator("table.sortable")
    for index in range(tables.count()):
        headings = [text.strip(" ↕▲▼") for text in tables.nth(index).locator("thead th").all_inner_texts()]
        for name in ("Test MSE", "Test: network", "Gap", "512-128", "Epochs trained"):
            if name not in headings:
                continue
            position = headings.index(name)
            tables.nth(index).locator("thead th").nth(position).locator("button").click()
            cells = column(page, index, position)
            known = [cell for cell in cells if cell not in ("", "–")]
            values = [float(cell.split(" ")[0].replace(",", "")) for cell in known]
            assert values == sorted(values) and cells[: len(known)] == known and len(known) >= 1, name
    totals = page.locator("tfoot tr")
    assert totals.count() == 1 and totals.first.inner_text().startswith("All")


def test_a_number_opens_the_trials_behind_it(opened: Opener, folder: RunFolder, run: Run) -> None:
    page = opened(folder.page)
    table = page.locator("table.sortable", has=page.locator("th", has_text="PCA, test MSE")).first
    table.locator("td.number button", has_text="±").first.click()
    dialog = page.locator("dialog[open]")
    shown = dialog.inner_text()
    serving = [r for r in run.retrainings if r.trial.dataset == "mnist" and r.trial.configuration.noise_variance == 0]
    mine = [r for r in serving if r.trial.name in shown]
    assert len(mine) == 5 and {r.trial.seeds[0] for r in mine} == {1, 2, 3, 4, 5}
    for retraining in mine:
        details = dialog.locator("details", has_text=retraining.trial.name)
        details.locator("summary").click()
        text = details.inner_text()
        checkpoint = retraining.result.checkpoint
        assert checkpoint["file"] in text and checkpoint["sha256"] in text
        assert f"{retraining.result.seq + 1}" in text and "retrained" in text
        assert f"{retraining.trial.epochs[-1].training_mse:.4g}"[:6] in text
        # The command prints exactly the journal's lines about this trial.
        command = details.locator("pre").inner_text()
        script = command.split("'")[1]
        told = subprocess.run(["sed", "-n", script, folder.journal], capture_output=True, text=True, check=True).stdout
        lines = [
            line for line in folder.journal.read_text().splitlines() if f'"trial":"{retraining.trial.name}"' in line
        ]
        assert told.splitlines() == lines
        details.locator("summary").click()
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert page.evaluate("document.activeElement.textContent").count("±") == 1


def test_a_baseline_s_number_opens_its_record(opened: Opener, folder: RunFolder, run: Run) -> None:
    page = opened(folder.page)
    page.locator("table.sortable").first.locator("tbody tr").nth(1).locator("button[data-baseline]").first.click()
    text = page.locator("dialog[open]").inner_text()
    event = run.baselines["mnist", "validation", "architecture", "pca", 30, None]
    assert "PCA" in text and f"{event['mse']:.6g}" in text and "validation images of stage architecture" in text


def test_trials_are_filtered_by_stage_state_and_axis(opened: Opener, folder: RunFolder, run: Run) -> None:
    page = opened(folder.page)
    trials = [trial for stage in run.stages.values() for trial in stage.trials]
    total = len(trials) + len(run.retrainings)
    assert page.inner_text("#listed") == f"{total} trials."
    page.select_option("#filter-stage", "regularization")
    page.select_option("#filter-dataset", "mnist")
    page.select_option("#filter-state", "stopped")
    mine = [t for t in trials if (t.stage, t.dataset, t.status) == ("regularization", "mnist", "stopped")]
    assert page.inner_text("#listed") == f"{len(mine)} of {total} trials."
    page.click("#axis-filters summary")
    page.locator("#axis-filters label", has_text="Regularizer").locator("select").select_option("L2")
    names = [t.name for t in mine if t.configuration.regularizer == "l2"]
    assert page.locator("#trial-table tbody .source-trial").all_inner_texts() == names
    page.select_option("#filter-stage", "")
    page.click("text=Reset")
    page.fill("#filters input[type=search]", names[0][-4:])
    assert all(names[0][-4:] in name for name in page.locator("#trial-table tbody .source-trial").all_inner_texts())


def test_curves_of_chosen_trials_tell_their_values(opened: Opener, folder: RunFolder, run: Run) -> None:
    page = opened(folder.page)
    trial = run.stages["architecture"].trials[0]
    page.check(f"input[aria-label='Choose {trial.name}']")
    assert "1 trial chosen" in page.inner_text("#curve-controls")
    text = page.inner_html("#curve-chart svg")
    assert "rung 3" in text and "rung 9" in text
    page.locator("#curve-chart").scroll_into_view_if_needed()
    box = page.locator("#curve-chart svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.5)
    page.wait_for_timeout(500)
    assert "Validation MSE" in page.locator("#curve-chart").inner_text() and "Epoch " in page.inner_html("#curve-chart")
    page.focus("#curve-chart")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    told = page.inner_text("#curve-value")
    assert told.startswith(f"{trial.name}, epoch 3: Validation MSE {trial.epochs[2].validation_mse:.4g}"[:-1])
    assert "a rung, decision: " in told


def test_everything_is_reached_with_the_keyboard(opened: Opener, folder: RunFolder) -> None:
    page = opened(folder.page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "report"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.className"))
        if {"sort", "source"} <= reached:
            break
    page.keyboard.press("Enter")
    assert page.locator("dialog[open]").count() == 1
    assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0 and page.evaluate("document.activeElement.className") == "source"
    # Whatever can be clicked can be reached: it is a link, a button or a control, and none is taken out of the order.
    assert page.evaluate("document.querySelectorAll('[tabindex=\"-1\"]:not(main):not(#source-title)').length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_s_width_is_enough(opened: Opener, folder: RunFolder, scheme: str) -> None:
    page = opened(folder.page, width=360, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert not page.evaluate("document.querySelector('#contents details').open")
    page.locator("button.source").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= 360


@pytest.mark.parametrize(("scheme", "width"), [("light", 1300), ("dark", 1300), ("light", 360)])
def test_axe_finds_nothing_serious(opened: Opener, folder: RunFolder, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page = opened(folder.page, width=width, scheme=scheme)
    for step in (lambda: None, lambda: page.locator("button.source").first.click()):
        step()
        found = axe.run(page).response["violations"]
        grave = {v["id"]: v["nodes"][0]["html"] for v in found if v["impact"] in ("serious", "critical")}
        assert grave == {}


def test_on_paper_there_is_all_that_can_be_read_and_nothing_to_click(
    opened: Opener, folder: RunFolder, tmp_path: Path
) -> None:
    page = opened(folder.page, scheme="dark")
    page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    page.emulate_media(media="print", color_scheme="dark")
    visible = "(selector) => [...document.querySelectorAll(selector)].some((e) => e.getClientRects().length)"
    assert not page.evaluate(visible, "#contents, #filters, .bar, .arrow")
    assert page.evaluate(visible, "table.sortable") and page.evaluate(visible, "figure svg")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_hostile_names_run_nothing(opened: Opener, events: list[dict[str, Any]], other_folder: RunFolder) -> None:
    hostile = "</script><script>window.hit=1</script><img src=x onerror=window.hit=1>'\"\N{GRINNING FACE}\u202etxt{a|b}"
    text = json.dumps(events[:700]).replace("fashion_mnist", json.dumps(hostile)[1:-1])
    mine = [{k: v for k, v in e.items() if k not in ("seq", "time", "crc")} for e in json.loads(text)]
    write_report(write_events(other_folder, mine))
    page = opened(other_folder.page)
    assert hostile in page.locator("#filter-dataset").inner_text()
    page.select_option("#filter-dataset", hostile)
    page.locator("#trial-table .source-trial").first.click()
    assert hostile in page.locator("dialog[open]").inner_text()
    assert page.evaluate("window.hit") is None and page.locator("img").count() == 0


def test_model_file_is_told_of_winners_alone_among_the_trials_of_a_search(
    opened: Opener, events: list[dict[str, Any]], run: Run, other_folder: RunFolder
) -> None:
    """The others' files are removed once they are beaten, or were trained on out of competition."""
    stage = run.stages["architecture"]
    (winner, beaten) = next(
        (best, other)
        for cell, best in stage.cells("mnist").items()
        for other in stage.trials
        if (other.dataset, other.cell, other.status) == ("mnist", cell, "completed") and best not in (None, other)
    )
    mine = [{k: v for k, v in e.items() if k not in ("seq", "time", "crc")} for e in events]
    for event in mine:
        if event["kind"] == "row" and event["trial"] in (winner.name, beaten.name) and event["epoch"] == winner.budget:
            file = f"checkpoints/{event['trial']}.safetensors"
            event["checkpoint"] = {"file": file, "sha256": "ab" * 32, "num_bytes": 9}
    write_report(write_events(other_folder, mine))
    page = opened(other_folder.page)
    for trial in (winner, beaten):
        page.fill("#filters input[type=search]", trial.name)
        page.locator("#trial-table .source-trial").first.click()
        text = page.locator("dialog[open]").inner_text()
        assert (f"checkpoints/{trial.name}.safetensors" in text) == (trial is winner)
        assert ("None is kept of this trial." in text) == (trial is beaten)
        page.keyboard.press("Escape")


def test_five_thousand_trials_open_in_three_seconds(opened: Opener, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "many")
    events = [{k: v for k, v in e.items() if k not in ("seq", "time")} for e in many_trials(5000)]
    write_report(write_events(folder, events))
    assert folder.page.stat().st_size < 15_000_000
    page = opened(Path("/dev/null"))
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(f"file://{folder.page}")
    # The processor's time of the page's thread: what other processes take of this machine is none of the page's.
    spent = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
    assert spent["TaskDuration"] < 3
    assert page.inner_text("#listed") == "5,000 trials."
    page.fill("#filters input[type=search]", "-0012")
    assert page.inner_text("#listed") == "1 of 5,000 trials."


def test_view_shows_a_row_within_five_seconds_of_its_record(
    opened: Opener, events: list[dict[str, Any]], folder: RunFolder, other_folder: RunFolder
) -> None:
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    cut = next(number for number, event in enumerate(events) if event["kind"] == "row") + 2
    other_folder.make()
    other_folder.journal.write_bytes(b"".join(lines[:cut]))
    command = [sys.executable, "-m", "aesweep.cli", "view", str(other_folder.root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        page = opened(process.stdout.readline().strip(), offline=False)
        trial = events[cut]["trial"]
        row = page.locator("#trial-table tbody tr", has_text=trial)
        assert row.locator("td").nth(4).inner_text() == "2"
        with open(other_folder.journal, "ab") as journal:
            journal.write(lines[cut])
        recorded = time.monotonic()
        while row.locator("td").nth(4).inner_text() != "3":
            assert time.monotonic() - recorded < 5
            page.wait_for_timeout(50)
        page.wait_for_selector("text=Show tables and figures as of now")
        assert "Not ended yet" in page.inner_text("#live")
        page.close()  # before it misses its server
    finally:
        process.terminate()
        process.wait(60)
