"""One run of the toy study from its start to its report, disturbed all the way, and what is wrong in the end."""

from __future__ import annotations

import dataclasses
import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import yaml

from aesweep.journal import read_journal
from aesweep.study_file import load_study
from tests.chaos.checker import violations
from tests.chaos.toy import STUDY, TRAINERS, undisturbed_rows
from tests.chaos.world import Driver, World

LIMIT_S = 900  # for anything that a driver has to come to
COMMON = ("--save-every", "0", "--quiet")
TIMES = ("time", "seq", "seconds")

STATES = ("state truncated", "state emptied", "state with a flipped bit")
KEEPER = "kill -9 of the keeper of files"
WORKER = "kill -9 of a trial's worker"
TRAINER = "kill -9 of a trainer"
RAYLET = "kill -9 of a node's raylet"
CLOCK = "clock moved by an hour"
# How often each is drawn. Starting a process takes seconds, so what needs one is drawn less often.
RUNNING = {WORKER: 8, TRAINER: 2, KEEPER: 1, RAYLET: 1, CLOCK: 5, **dict.fromkeys(STATES, 4)}
ENDING = {"kill -9 of the driver": 5, "SIGTERM": 2, "SIGINT": 2, "disk full": 3}
DOWN = {"journal cut at a random byte": 5, "journal with a flipped bit": 4, "winner's checkpoint damaged": 2}
DOWN |= dict.fromkeys(STATES, 2)
LOCAL_SHARE = 0.08  # of drivers that start a Ray of their own


@dataclasses.dataclass
class Result:
    """What a campaign did and found."""

    faults: Counter
    refused: Counter
    found: list[str]
    recoveries_s: list[float]
    signals_s: list[float]


class Campaign:
    """Args:
    world: what faults reach.
    seed: everything random follows from it.
    num_faults: about how many.
    num_workers: trials at once, or trainers.
    has_trainers: whether trials go to trainers.
    whole: the folder of an undisturbed run with one worker, to compare with; None for the undisturbed run itself.
    """

    def __init__(
        self, world: World, seed: str, num_faults: int, num_workers: int, has_trainers: bool, whole: Path | None
    ):
        self._world = world
        self._random = random.Random(seed)
        self._num_faults = num_faults
        self._num_workers = num_workers
        self._study = {**STUDY, "resources": TRAINERS} if has_trainers else STUDY
        self._whole = whole
        self._folder = world.runs / seed.replace("/", "-")
        self._folder.mkdir()
        self.run = self._folder / "runs" / "toy"
        self._journal = self.run / "journal.jsonl"
        self._log = self._folder / "log"
        self._is_local = False
        self.result = Result(Counter(), Counter(), [], [], [])

    def execute(self) -> Result:
        study = self._folder / "study.yaml"
        study.write_text(yaml.safe_dump(self._study))
        arguments = ["run", str(study), "--runs", str(self._folder / "runs"), *COMMON]
        for _ in range(10 + self._num_faults):
            code, ending = self._live(arguments)
            self._judge_end(code, ending)
            arguments = ["resume", str(self.run), *COMMON]
            if code == 0 and ending is None:
                self._verify(load_study(study).resolved())
                return self.result
            if not self._journal.exists() or not self._journal.read_bytes().count(b"\n"):
                # Killed before anything was recorded: nothing to go on from, which the command says.
                shutil.rmtree(self.run, ignore_errors=True)
                arguments = ["run", str(study), "--runs", str(self._folder / "runs"), *COMMON]
            elif ending is not None:
                self._disturb_files()
            lines = self._journal.read_bytes().splitlines() if self._journal.exists() else []
            if lines and b'"kind":"run_ended"' in lines[-1] and b'"status":"failed"' in lines[-1]:
                # Without room on the disk a retraining may have been given up.
                arguments = ["retrain", str(self.run), *COMMON]
        self.result.found.append("the run did not come to its end")
        return self.result

    def _left(self) -> int:
        return self._num_faults - self.result.faults.total()

    def _live(self, arguments: list[str]) -> tuple[int, str | None]:
        """One driver, disturbed; its exit code, and the fault that was to end it."""
        self._is_local = self._random.random() < LOCAL_SHARE and self._left() > 0
        address = self._world.set_workers(self._num_workers)
        where = ["--workers", str(self._num_workers)] if self._is_local else ["--address", address]
        driver = self._world.start([*arguments, *where], self._log, forked=not self._is_local)
        for _ in range(min(self._random.randrange(2, 12), self._left())):
            if not self._wait_rows(driver, self._random.randrange(1, 9)):
                return driver.poll(), None
            fault = _draw(self._random, RUNNING)
            if self._disturb(driver, fault):
                self.result.faults[fault] += 1
        if self._left() <= 0:
            return driver.wait(LIMIT_S), None
        early = self._random.random() < 0.1
        if not early and not self._wait_rows(driver, self._random.randrange(1, 9)):
            return driver.poll(), None
        ending = _draw(self._random, ENDING)
        while ending == "disk full" and not self._world.has_disk:
            ending = _draw(self._random, ENDING)
        time.sleep(self._random.uniform(0, 1.0 if early else 0.1))
        return self._end(driver, ending)

    def _num_rows(self) -> int:
        return self._journal.read_bytes().count(b'"kind":"row"') if self._journal.exists() else 0

    def _wait_rows(self, driver: Driver, number: int) -> bool:
        """Waits for more rows; False where the driver ended before. Some run on into what follows the last row."""
        target = self._num_rows() + number
        deadline = time.monotonic() + LIMIT_S
        while self._num_rows() < target:
            if driver.poll(0.02) is not None:
                return False
            if time.monotonic() > deadline:
                self.result.found.append(f"nothing was recorded for {LIMIT_S} s")
                driver.signal(signal.SIGKILL)
                driver.wait(LIMIT_S)
                return False
        return True

    def _disturb(self, driver: Driver, fault: str) -> bool:
        """Lets a fault happen that the driver should survive; False where there was nothing to disturb."""
        if fault in (WORKER, TRAINER, KEEPER):
            workers = self._world.workers({TRAINER: "Trainer", KEEPER: "FileKeeper"}.get(fault, "ImplicitFunc"))
            if not workers:
                return False
            try:
                os.kill(self._random.choice(sorted(workers)), signal.SIGKILL)
            except ProcessLookupError:
                return False
        elif fault == RAYLET:
            if self._is_local:
                return False  # its only raylet would take the driver along, see `_end`
            self._world.kill_raylet(self._random.randrange(8))
        elif fault == CLOCK:
            self._world.move_clock(self._random.choice((-3600, 3600)))
        else:
            return self._damage_file(fault, list(self.run.glob("states/*.safetensors")))
        return True

    def _damage_file(self, fault: str, files: list[Path]) -> bool:
        try:
            path = self._random.choice(sorted(files))
            content = path.read_bytes()
            if "emptied" in fault:
                content = b""
            elif "truncated" in fault:
                content = content[: self._random.randrange(len(content))]
            else:
                content = _flipped(content, self._random.randrange(len(content)), self._random)
            path.write_bytes(content)
        except (OSError, IndexError, ValueError):
            return False  # nothing there, or gone before it could be damaged
        return True

    def _end(self, driver: Driver, ending: str) -> tuple[int, str | None]:
        if driver.poll() is not None:
            return driver.poll(), None
        started = time.monotonic()
        if ending == "disk full":
            self._world.fill_disk()
            code = driver.poll(20)
            self._world.free_disk()
            code = driver.wait(LIMIT_S) if code is None else code
        else:
            numbers = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
            driver.signal(numbers.get(ending, signal.SIGKILL))
            code = driver.wait(LIMIT_S)
            if ending in numbers:
                self.result.signals_s.append(time.monotonic() - started)
        self.result.faults[ending] += 1
        return code, ending

    def _judge_end(self, code: int, ending: str | None) -> None:
        expected = {
            None: {0, 1},
            "kill -9 of the driver": {-signal.SIGKILL},
            # 0 and 1: the run came to its end all the same.
            "SIGTERM": {143, -signal.SIGTERM, 0},
            "SIGINT": {130, 0},
            "disk full": {73, 0, 1},
        }[ending]
        said = self._log.read_text(errors="replace") if self._log.exists() else ""
        if code not in expected:
            self.result.found.append(f"exit {code} after {ending}: {said[-2000:]}")
        if "Traceback" in said:
            self.result.found.append(f"a traceback after {ending}: {said[-4000:]}")
        self._log.unlink(missing_ok=True)

    def _disturb_files(self) -> None:
        """Damages what lies there between two drivers."""
        for _ in range(min(self._random.randrange(0, 6), self._left())):
            fault = _draw(self._random, DOWN)
            content = self._journal.read_bytes()
            if fault == "journal cut at a random byte":
                low = 0 if self._random.random() < 0.2 else max(0, len(content) - 4000)
                self._journal.write_bytes(content[: self._random.randrange(low, len(content))])
                if b"\n" not in self._journal.read_bytes():
                    self._expect_refusal(content, fault)
            elif fault == "journal with a flipped bit":
                last = content.rfind(b"\n", 0, content.rfind(b"\n")) + 1
                if last == 0:
                    continue
                self._journal.write_bytes(_flipped(content, self._random.randrange(last), self._random))
                self._expect_refusal(content, fault)
            elif fault == "winner's checkpoint damaged":
                if not self._damage_file("a flipped bit", list(self.run.glob("checkpoints/retraining*"))):
                    continue
            elif not self._damage_file(fault, list(self.run.glob("states/*.safetensors"))):
                continue
            self.result.faults[fault] += 1

    def _expect_refusal(self, content: bytes, fault: str) -> None:
        """A record that cannot be trusted is refused in one line, and not touched; then it is put back."""
        damaged = self._journal.read_bytes()
        driver = self._world.start(["resume", str(self.run), *COMMON], self._log, forked=True)
        code = driver.wait(LIMIT_S)
        said = [line for line in self._log.read_text().splitlines() if "lock is taken over" not in line]
        if code != 65 or len(said) != 1 or self._journal.read_bytes() != damaged:
            self.result.found.append(f"{fault}: expected a refusal in one line, got exit {code}: {said[-20:]}")
        self._log.unlink(missing_ok=True)
        self._journal.write_bytes(content)
        self.result.refused[fault] += 1

    def _verify(self, study: dict) -> None:
        events = read_journal(self._journal)
        found = violations(events, study, undisturbed_rows)
        found += [f"left behind: {path}" for path in self.run.glob("states/*")]
        if self._whole is not None:
            found += differences(self.run, self._whole, self.result.faults["disk full"] > 0)
        self.result.found += found
        self.result.recoveries_s += recoveries(events)
        if found:
            kept = Path(os.environ.get("CHAOS_KEEP", "/tmp")) / f"chaos-kept-{self._folder.name}"
            shutil.copytree(self._folder, kept, dirs_exist_ok=True)
            self.result.found.append(f"the run is kept in {kept}")
        if self._whole is not None or found:
            shutil.rmtree(self._folder)


def recoveries(events: list[dict]) -> list[float]:
    """Seconds from each recorded failure to the trial's next new row, where that came in the same session."""
    found = []
    for number, event in enumerate(events):
        if event["kind"] != "failure" or not event["retried"]:
            continue
        later = (
            e
            for e in events[number + 1 :]
            if e["kind"] in ("resumed", "run_ended")
            or (e["kind"] in ("row", "failure") and e["trial"] == event["trial"])
        )
        after = next(later, None)
        # A clock that was moved between the two says nothing.
        if after and after["kind"] == "row" and 0 <= after["time"] - event["time"] < 600:
            found.append(after["time"] - event["time"])
    return found


def differences(run: Path, whole: Path, was_full: bool) -> list[str]:
    """How a run differs from an undisturbed one, but for times and for what tells of the disturbance.

    Where the disk `was_full`, the models of a search's best trials may be missing.
    """
    found = []
    events, others = read_journal(run / "journal.jsonl"), read_journal(whole / "journal.jsonl")
    views: dict[str, Callable[[list[dict]], object]] = {
        "rows": lambda journal: {
            (e["trial"], e["epoch"]): {**_plain(e), "checkpoint": None if was_full else e.get("checkpoint")}
            for e in journal
            if e["kind"] == "row"
        },
        "decisions": lambda journal: [_plain(e) for e in journal if e["kind"] == "decision"],
        "ends": lambda journal: {e["trial"]: (e["status"], e["epochs"]) for e in journal if e["kind"] == "trial_ended"},
        "results": lambda journal: {
            str(_plain(e))
            for e in journal
            if e["kind"] in ("cell_winner", "stage_winner", "retrained", "pictures", "baseline")
        },
    }
    found += [f"other {name}" for name, view in views.items() if view(events) != view(others)]
    if comparable_report(run) != comparable_report(whole):
        found.append("another report")
    for part in ("checkpoints", "pictures", "figures"):
        files, expected = (
            {
                path.relative_to(folder): path.read_bytes()
                for path in (folder / part).rglob("*")
                if path.is_file() and not (was_full and part == "checkpoints" and path.name[:10] != "retraining")
            }
            for folder in (run, whole)
        )
        found += [f"{name} differs" for name in files.keys() | expected.keys() if files.get(name) != expected.get(name)]
    return found


def comparable_report(run: Path) -> str:
    """The report without its ledger, times and commands: everything else must be the same to the byte."""
    text = (run / "report.md").read_text()
    text = re.sub(r"## Failures\n.*?(?=\n## )", "", text, flags=re.DOTALL)
    text = re.sub(r"## How to reproduce it\n.*", "", text, flags=re.DOTALL)
    text = re.sub(r" Wall time: [^(]*\.", "", text)
    # The account's last column is core hours.
    before, account, after = text.partition("## What the search cost\n")
    return before + account + re.sub(r"^(\|.*\|)[^|]*\|$", r"\1", after, flags=re.MULTILINE)


def _plain(event: dict) -> dict:
    return {name: value for name, value in event.items() if name not in TIMES}


def _draw(source: random.Random, weights: dict[str, int]) -> str:
    return source.choices(list(weights), list(weights.values()))[0]


def _flipped(content: bytes, position: int, source: random.Random) -> bytes:
    damaged = bytearray(content)
    damaged[position] ^= 1 << source.randrange(8)
    return bytes(damaged)
