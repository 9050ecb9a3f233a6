"""One run of the toy study from its start to its report, disturbed all the way, and what is wrong in the end."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

from aesweep.storage.journal import read_journal
from aesweep.study.study_file import load_study
from tests.chaos.checker import violations
from tests.chaos.comparison import differences, recoveries
from tests.chaos.faults import (
    BRIEFLY,
    CHECKPOINT,
    CLOCK,
    CUT,
    DOWN,
    DOWN_STORED,
    DRIVER,
    ENDING,
    ENDING_STORED,
    FLIPPED,
    FOLDER,
    FULL,
    KEEPER,
    LONG,
    OUT,
    RAYLET,
    RUNNING,
    RUNNING_STORED,
    TRAINER,
    WORKER,
    damaged,
    drawn,
    flipped,
)
from tests.chaos.undisturbed import undisturbed_rows
from tests.chaos.unreliable_s3 import BUSY, LOST, REFUSED, TORN
from tests.chaos.unreliable_s3 import FAULTS as STORAGE_FAULTS
from tests.chaos.world import Driver, World
from tests.flows.studies import TriedStudy

LIMIT_S = 900  # for anything that a driver has to come to
COMMON = ("--save-every", "0", "--quiet")

OUT_S = 20.0  # how long a storage is out of reach, at most
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
    study: whose run is disturbed.
    num_workers: trials at once, or trainers.
    whole: the folder of an undisturbed run with one worker, to compare with; None for rules alone.
    has_storage: whether the run is kept in the world's S3 as well.
    """

    def __init__(
        self,
        world: World,
        seed: str,
        num_faults: int,
        study: TriedStudy,
        num_workers: int,
        whole: Path | None = None,
        has_storage: bool = False,
    ):
        self._world = world
        self._random = random.Random(seed)
        self._num_faults = num_faults
        self._num_workers = num_workers
        self._whole = whole
        self._folder = world.runs / seed.replace("/", "-")
        self._folder.mkdir()
        self._study = study.write(self._folder)
        self.run = self._folder / "runs" / study.name
        self._journal = self.run / "journal.jsonl"
        self._log = self._folder / "log"
        self._is_local = False
        self._storage = f"s3://{world.s3.BUCKET}/{self._folder.name}" if has_storage else None
        self._common = [*COMMON, "--storage", self._storage] if has_storage else [*COMMON]
        self.result = Result(Counter(), Counter(), [], [], [])

    def execute(self) -> Result:
        start = ["run", str(self._study), "--runs", str(self._folder / "runs"), *self._common]
        arguments = start
        for _ in range(10 + self._num_faults):
            code, ending = self._live(arguments)
            self._judge_end(code, ending)
            arguments = ["resume", str(self.run), *self._common]
            if code == 0 and ending is None:
                self._verify()
                return self.result
            if not self._journal.exists() or not self._journal.read_bytes().count(b"\n"):
                # Killed before anything was recorded: nothing to go on from, which the command says.
                shutil.rmtree(self.run, ignore_errors=True)
                arguments = start
            elif ending is not None:
                self._disturb_files()
            lines = self._journal.read_bytes().splitlines() if self._journal.exists() else []
            if lines and b'"kind":"run_ended"' in lines[-1] and b'"status":"failed"' in lines[-1]:
                # Without room on the disk a retraining may have been given up.
                arguments = ["retrain", str(self.run), *self._common]
        self.result.found.append("the run did not come to its end")
        return self.result

    def _left(self) -> int:
        return self._num_faults - self.result.faults.total()

    def _live(self, arguments: list[str]) -> tuple[int, str | None]:
        """One driver, disturbed; its exit code, and the fault that was to end it."""
        self._is_local = self._random.random() < LOCAL_SHARE and self._left() > 0
        address = self._world.set_workers(self._num_workers)
        where = [] if self._is_local else ["--address", address]
        if self._is_local or self._num_workers == 1:  # in a cluster, too, one worker makes an order
            where += ["--workers", str(self._num_workers)]
        driver = self._world.start([*arguments, *where], self._log, forked=not self._is_local)
        for _ in range(min(self._random.randrange(2, 12), self._left())):
            if not self._wait_rows(driver, self._random.randrange(1, 9)):
                return driver.poll(), None
            fault = drawn(self._random, RUNNING_STORED if self._storage else RUNNING)
            if self._disturb(driver, fault):
                self.result.faults[fault] += 1
        if self._left() <= 0:
            return driver.wait(LIMIT_S), None
        early = self._random.random() < 0.1
        if not early and not self._wait_rows(driver, self._random.randrange(1, 9)):
            return driver.poll(), None
        endings = ENDING_STORED if self._storage else ENDING
        ending = drawn(self._random, endings)
        while ending == FULL and not self._world.has_disk:
            ending = drawn(self._random, endings)
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
        elif fault in (RAYLET, BRIEFLY, LONG):
            if self._is_local:
                return False  # its only raylet would take the driver along, see `_end`
            which = self._random.randrange(8)
            if fault == RAYLET:
                self._world.kill_raylet(which)
            else:
                self._world.cut_off(which, self._random.uniform(0.2, 3) if fault == BRIEFLY else 14.0)
        elif fault in STORAGE_FAULTS:
            # No more than the client tries again.
            self._world.s3.disturb(fault, self._random.randrange(1, 4))
        elif fault == CLOCK:
            self._world.move_clock(self._random.choice((-3600, 3600)))
        else:
            return self._damage_file(fault, list(self.run.glob("states/*.safetensors")))
        return True

    def _damage_file(self, fault: str, files: list[Path]) -> bool:
        try:
            path = self._random.choice(sorted(files))
            path.write_bytes(damaged(path.read_bytes(), fault, self._random))
        except (OSError, IndexError, ValueError):
            return False  # nothing there, or gone before it could be damaged
        return True

    def _end(self, driver: Driver, ending: str) -> tuple[int, str | None]:
        if driver.poll() is not None:
            return driver.poll(), None
        started = time.monotonic()
        if ending == FULL:
            self._world.fill_disk()
            code = driver.poll(20)
            self._world.free_disk()
            code = driver.wait(LIMIT_S) if code is None else code
        elif ending == OUT:
            self._world.s3.disturb(self._random.choice((REFUSED, BUSY, LOST, TORN)), 10**9)
            code = driver.poll(OUT_S)
            self._world.s3.recover()
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
            DRIVER: {-signal.SIGKILL},
            # 0 and 1: the run came to its end all the same.
            "SIGTERM": {143, -signal.SIGTERM, 0},
            "SIGINT": {130, 0},
            FULL: {73, 0, 1},
            OUT: {73, 0, 1},
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
            fault = drawn(self._random, DOWN_STORED if self._storage else DOWN)
            content = self._journal.read_bytes()
            if fault == FOLDER:
                if not self._kept():
                    continue
                shutil.rmtree(self.run)
                self._fetch(fault)
            elif fault == CUT:
                low = 0 if self._random.random() < 0.2 else max(0, len(content) - 4000)
                self._journal.write_bytes(content[: self._random.randrange(low, len(content))])
                if len(self._kept()) > self._journal.stat().st_size:
                    self._expect_refusal(None, fault, 73)
                    self._fetch(fault)
                elif b"\n" not in self._journal.read_bytes():
                    self._expect_refusal(content, fault)
            elif fault == FLIPPED:
                last = content.rfind(b"\n", 0, content.rfind(b"\n")) + 1
                if last == 0:
                    continue
                self._journal.write_bytes(flipped(content, self._random.randrange(last), self._random))
                self._expect_refusal(content, fault)
            elif fault == CHECKPOINT:
                if not self._damage_file("a flipped bit", list(self.run.glob("checkpoints/retraining*"))):
                    continue
            elif not self._damage_file(fault, list(self.run.glob("states/*.safetensors"))):
                continue
            self.result.faults[fault] += 1

    def _kept(self) -> bytes:
        """The journal as the storage has it; empty without one."""
        if self._storage is None:
            return b""
        from aesweep.storage.object_store import Storage
        from aesweep.storage.replica import read_segments

        return read_segments(Storage(f"{self._storage}/{self.run.name}"))

    def _fetch(self, fault: str) -> None:
        """Brings the run from its storage, where its folder has less."""
        arguments = ["fetch", self.run.name, "--from", self._storage, "--runs", str(self.run.parent)]
        driver = self._world.start(arguments, self._log, forked=True)
        code = driver.wait(LIMIT_S)
        if code != 0 or self._journal.read_bytes() != self._kept():
            self.result.found.append(f"{fault}: fetch ended with {code}: {self._log.read_text()[-2000:]}")
        self._log.unlink(missing_ok=True)

    def _expect_refusal(self, content: bytes | None, fault: str, expected: int = 65) -> None:
        """A record that cannot be trusted is refused in one line, and not touched; then it is put back, if given."""
        before = self._journal.read_bytes()
        driver = self._world.start(["resume", str(self.run), *self._common], self._log, forked=True)
        code = driver.wait(LIMIT_S)
        said = [line for line in self._log.read_text().splitlines() if "lock is taken over" not in line]
        if code != expected or len(said) != 1 or self._journal.read_bytes() != before:
            self.result.found.append(f"{fault}: expected a refusal in one line, got exit {code}: {said[-20:]}")
        self._log.unlink(missing_ok=True)
        if content is not None:
            self._journal.write_bytes(content)
        self.result.refused[fault] += 1

    def _verify(self) -> None:
        study = load_study(self._study)
        events = read_journal(self._journal)
        found = violations(events, study.resolved(), undisturbed_rows(study))
        found += [f"left behind: {path}" for path in self.run.glob("states/*")]
        if self._whole is not None:
            lacks_models = any(self.result.faults[fault] for fault in (FULL, OUT))
            found += differences(self.run, self._whole, lacks_models)
        if self._storage is not None and self._kept() != self._journal.read_bytes():
            found.append("the storage has another journal than the folder")
        self.result.found += found
        self.result.recoveries_s += recoveries(events)
        if found:
            kept = Path(os.environ.get("CHAOS_KEEP", "/tmp")) / f"chaos-kept-{self._folder.name}"
            shutil.copytree(self._folder, kept, dirs_exist_ok=True)
            self.result.found.append(f"the run is kept in {kept}")

    def clear(self) -> None:
        """Makes room on the small disk."""
        shutil.rmtree(self._folder)
