"""A trainer, a real Ray actor on the CPU: it gives the rows that a trial gives alone, whatever happens around it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aesweep.data.image_data import ImageData
from aesweep.search.retry_policy import Cause, cause_of
from aesweep.search.row_buffer import MAX_AHEAD
from aesweep.search.trial_spec import TrialSpec
from aesweep.storage.artifacts import FolderFiles
from aesweep.storage.run_folder import state_files
from aesweep.study.configuration import Configuration
from tests.cluster.local_ray import local_ray
from tests.tiny_jobs import BASE, tiny_job

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

EPOCHS = 6
OTHER = Configuration(hidden_layers=(10,), latent_dim=3, batch_size=16)


@pytest.fixture(scope="module")
def cluster():
    """Its two GPUs are told to it and not there, as on a machine for tests."""
    with local_ray(num_cpus=4, num_gpus=2):
        import ray

        yield ray


@pytest.fixture(scope="module")
def reference(cluster, images):
    return cluster.put(images)


@pytest.fixture
def start(cluster):
    """Starts trainers, each with a GPU of its own, and ends them."""
    from aesweep.cluster.tune.trainer import Trainer

    class Known(Trainer):
        async def process(self) -> int:
            return os.getpid()

    started = []

    def start(**arguments):
        options = {"num_cpus": 1, "num_gpus": 1, "max_restarts": -1}
        started.append(cluster.remote(Known).options(**options).remote(**arguments))
        return started[-1]

    yield start
    for trainer in started:
        cluster.kill(trainer)


def a_job(number: int = 0, configuration: Configuration = BASE, **fields) -> TrialSpec:
    kept = {"checkpoint": f"checkpoints/{number}.safetensors", "states": "states", "state_interval_s": 0.0}
    seeds = (number, number + 1)
    return tiny_job(number, configuration, **{"seeds": seeds, "epochs": EPOCHS, **kept, **fields})


def all_jobs() -> list[TrialSpec]:
    """Two kinds of pack, every regularizer, a denoiser, a training that diverges, one or two seeds, a retraining."""
    own = [
        {},
        {"dropout": 0.2, "learning_rate": 5e-3},
        {"noise_variance": 0.1, "schedule": "cosine"},
        {"l1": 1e-4, "l2": 1e-4, "weight_decay": 0.1},
        {"sparse_code": 1e-3},
        {"output": "linear", "schedule": "constant", "learning_rate": 1e30},
    ]
    specs = [
        a_job(10 * number, dataclasses.replace(base, **values))
        for number, (base, values) in enumerate((base, values) for values in own for base in (BASE, OTHER))
    ]
    return [*specs, a_job(500, purpose="retraining", seeds=(7,), states=None)]


def alone(spec: TrialSpec, images: ImageData, folder: Path) -> list[dict]:
    from aesweep.training.single_trial import fit

    return numbers(fit(dataclasses.replace(spec, states=None), images, FolderFiles(folder / "alone")))


def numbers(rows) -> list[dict]:
    left_out = ("seconds", "held_seconds", "continued_from", "rejected", "is_awaited")
    return [
        {name: str(value) for name, value in dataclasses.asdict(row).items() if name not in left_out} for row in rows
    ]


def trained_bundles(*arguments):
    """What a trial's process does; Ray must not be imported before its settings are made."""
    from aesweep.cluster.tune import trial

    return trial.trained_bundles(*arguments)


def trained_rows(*arguments):
    return itertools.chain.from_iterable(trained_bundles(*arguments))


def follow(spec, reference, folder, trainer, pace_s: float = 0.0, until: int | None = None) -> list[dict]:
    rows = []
    with contextlib.closing(trained_bundles(spec, reference, FolderFiles(folder), trainer)) as bundles:
        for bundle in bundles:
            rows += bundle
            if until is not None and bundle[-1].epoch >= until:
                break
            time.sleep(pace_s * len(bundle))
    return rows


def eventually(question, answer, within_s: float = 60.0):
    deadline = time.monotonic() + within_s
    while (got := question()) != answer:
        assert time.monotonic() < deadline, got
        time.sleep(0.02)


def test_every_job_of_many_at_once_gives_the_rows_that_it_gives_alone(tmp_path, cluster, images, reference, start):
    specs, trainer = all_jobs(), start()
    with ThreadPoolExecutor(len(specs)) as threads:
        found = list(threads.map(lambda spec: numbers(follow(spec, reference, tmp_path, trainer)), specs))
    expected = [alone(spec, images, tmp_path) for spec in specs]
    assert found == expected
    assert {len(rows) for rows in found} == {1, EPOCHS}
    assert found[-1][-1]["test"] != "None"
    name = specs[-1].checkpoint
    assert (tmp_path / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    eventually(lambda: cluster.get(trainer.trials.remote()), {})


def test_states_that_a_trainer_writes_are_those_of_a_job_alone(tmp_path, images, reference, start):
    from aesweep.training.single_trial import fit

    spec = a_job()
    follow(spec, reference, tmp_path, start())
    list(fit(spec, images, FolderFiles(tmp_path / "alone")))
    files = [state_files(folder / "states", spec.trial) for folder in (tmp_path, tmp_path / "alone")]
    # A trainer is an epoch ahead when a row is taken, and may have missed the moment for a state of the last but one.
    common = {epoch for epoch, _ in files[0]} & {epoch for epoch, _ in files[1]}
    assert common
    for epoch in common:
        assert dict(files[0])[epoch].read_bytes() == dict(files[1])[epoch].read_bytes()


def test_trial_that_is_stopped_leaves_at_once_and_its_neighbour_goes_on(tmp_path, cluster, images, reference, start):
    trainer = start()
    stopped = a_job(0, epochs=100_000)
    other = a_job(10)
    with ThreadPoolExecutor(1) as thread:
        rows = thread.submit(follow, other, reference, tmp_path, trainer, 0.05)
        follow(stopped, reference, tmp_path, trainer, until=3)
        eventually(lambda: stopped.trial in cluster.get(trainer.trials.remote()), False, within_s=5)
        assert numbers(rows.result()) == alone(other, images, tmp_path)


def test_nothing_is_trained_or_kept_far_ahead_of_what_the_trial_has_taken(tmp_path, cluster, reference, start):
    trainer = start()
    spec = a_job(epochs=100_000)  # with an interval of 0 between states, each of which awaits that its row is taken
    bundles = trained_bundles(spec, reference, FolderFiles(tmp_path), trainer)
    taken = 0
    for rows in itertools.islice(bundles, 3):
        assert rows[0].epoch == taken + 1 and rows[-1].is_awaited and len(rows) <= MAX_AHEAD
        ahead = rows[-1].epoch + MAX_AHEAD - 1
        eventually(lambda: cluster.get(trainer.trials.remote()), {spec.trial: ahead})
        time.sleep(0.3)
        assert cluster.get(trainer.trials.remote()) == {spec.trial: ahead}
        assert all(epoch <= taken for epoch, _ in state_files(tmp_path / "states", spec.trial))
        taken = rows[-1].epoch
    bundles.close()


def test_epochs_of_no_consequence_travel_together_and_those_at_rungs_at_once(tmp_path, cluster, reference, start):
    trainer = start(interval_s=60.0)
    spec = a_job(epochs=40, states=None, rungs=(5, 20))
    began = time.monotonic()
    bundles = [[row.epoch for row in rows] for rows in trained_bundles(spec, reference, FolderFiles(tmp_path), trainer)]
    assert bundles == [list(range(1, 6)), list(range(6, 21)), list(range(21, 41))]
    assert time.monotonic() - began < 50


def test_trial_whose_process_was_killed_is_evicted_when_it_comes_again(tmp_path, cluster, images, reference, start):
    @cluster.remote(num_cpus=0)
    class Follower:
        def __init__(self, spec, reference, trainer):
            from aesweep.cluster.tune import trial

            self._bundles = trial.trained_bundles(spec, reference[0], FolderFiles(tmp_path), trainer)

        def take(self):
            return next(self._bundles)[-1].epoch

    trainer, spec = start(), a_job()
    follower = Follower.remote(spec, [reference], trainer)
    taken = [cluster.get(follower.take.remote()) for _ in range(3)]
    assert taken == sorted(set(taken)) and taken[-1] < EPOCHS
    cluster.kill(follower)
    again = dataclasses.replace(spec, recorded=2)
    rows = follow(again, reference, tmp_path, trainer)
    assert rows[0].continued_from == rows[0].epoch - 1 <= 2
    assert numbers(rows) == alone(spec, images, tmp_path)[rows[0].epoch - 1 :]
    eventually(lambda: cluster.get(trainer.trials.remote()), {})


def test_earlier_attempt_is_told_that_it_is_over(tmp_path, cluster, reference, start):
    trainer, spec = start(), a_job()
    cluster.get(trainer.join.remote(spec, "first", [reference], FolderFiles(tmp_path)))
    cluster.get(trainer.join.remote(spec, "second", [reference], FolderFiles(tmp_path)))
    with pytest.raises(LookupError, match="another attempt at it has joined"):
        cluster.get(trainer.next_rows.remote(spec.trial, "first"))
    cluster.get(trainer.leave.remote(spec.trial, "first"))
    assert cluster.get(trainer.next_rows.remote(spec.trial, "second"))[0].epoch == 1


def test_trial_that_does_not_ask_leaves_the_device_and_goes_on_when_it_asks_again(
    tmp_path, cluster, images, reference, start
):
    trainer, spec = start(lease_s=0.5), a_job()
    rows = trained_rows(spec, reference, FolderFiles(tmp_path), trainer)
    found = {row.epoch: row for row in (next(rows), next(rows), next(rows))}
    eventually(lambda: cluster.get(trainer.trials.remote()), {spec.trial: 0})
    found |= {row.epoch: row for row in rows}
    assert numbers(found[epoch] for epoch in sorted(found)) == alone(spec, images, tmp_path)
    assert any(row.continued_from is not None for row in found.values())


def test_trials_of_a_killed_trainer_hear_of_it_and_go_on_from_their_states(tmp_path, cluster, images, reference, start):
    trainer = start()
    pid = cluster.get(trainer.process.remote())
    specs = [a_job(10 * number, epochs=12) for number in range(3)]
    taken: dict[str, list[dict]] = {spec.trial: [] for spec in specs}

    def take(spec: TrialSpec) -> None:
        for row in trained_rows(spec, reference, FolderFiles(tmp_path), trainer):
            taken[spec.trial].append(row)
            time.sleep(0.1)

    def lost(spec: TrialSpec) -> bool:
        with pytest.raises((cluster.exceptions.ActorUnavailableError, RuntimeError)) as caught:
            take(spec)
        return cause_of(f"{type(caught.value).__name__}: {caught.value}") is Cause.CRASHED

    with ThreadPoolExecutor(3) as threads:
        seen = threads.map(lost, specs)
        eventually(lambda: sum(epoch >= 4 for epoch in cluster.get(trainer.trials.remote()).values()), 3)
        os.kill(pid, signal.SIGKILL)
        assert all(seen)
        before = {spec.trial: taken[spec.trial][-1].epoch for spec in specs}
        list(threads.map(take, [dataclasses.replace(spec, recorded=before[spec.trial]) for spec in specs]))
    assert cluster.get(trainer.process.remote()) != pid
    for spec in specs:
        epochs = {row.epoch: row for row in taken[spec.trial]}
        assert numbers(epochs[epoch] for epoch in sorted(epochs)) == alone(spec, images, tmp_path)
        (continued_from,) = [row.continued_from for row in taken[spec.trial] if row.continued_from is not None]
        assert 0 < continued_from <= before[spec.trial]


def test_what_a_training_breaks_at_is_told_to_its_trial_alone(tmp_path, images, reference, start):
    trainer = start()
    (tmp_path / "checkpoints").write_text("not a folder")
    broken = a_job(500, purpose="retraining", seeds=(7,), states=None)
    whole = a_job(10, checkpoint=None)
    with ThreadPoolExecutor(2) as threads:
        rows = threads.submit(follow, whole, reference, tmp_path, trainer)
        with pytest.raises(OSError, match=r"Not a directory|File exists"):
            follow(broken, reference, tmp_path, trainer)
        assert numbers(rows.result()) == alone(whole, images, tmp_path)
