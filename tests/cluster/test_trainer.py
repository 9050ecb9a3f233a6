"""A trainer, a real Ray actor on the CPU: it gives the rows that a job gives alone, whatever happens around it."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from data.image_data import ImageData
from sweep.configuration import Configuration
from sweep.job import Job
from sweep.run_folder import state_files

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

EPOCHS = 6
BASE = Configuration(hidden_layers=(12, 8), latent_dim=3, batch_size=16)
OTHER = Configuration(hidden_layers=(10,), latent_dim=3, batch_size=16)


@pytest.fixture(scope="module")
def cluster():
    """A Ray of this module's own; its two GPUs are told to it and not there, as on a machine for tests."""
    from sweep.cluster import runner

    for name, value in runner._ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import ray

    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    ray.init(
        num_cpus=4,
        num_gpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100_000_000,
        _temp_dir=folder,
        _node_ip_address="127.0.0.1",
    )
    yield ray
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def images() -> ImageData:
    pixels = np.random.default_rng(5).integers(0, 256, (80, 1, 4, 4), dtype=np.uint8)
    return ImageData.of("tiny", pixels[:60], pixels[60:])


@pytest.fixture(scope="module")
def reference(cluster, images):
    return cluster.put(images)


@pytest.fixture
def start(cluster):
    """Starts trainers, each with a GPU of its own, and ends them."""
    from sweep.cluster.trainer import Trainer

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


def job_in(folder: Path, number: int = 0, configuration: Configuration = BASE, **fields) -> Job:
    values = {
        "trial": f"stage-tiny-{number:04d}",
        "purpose": "search",
        "dataset": "tiny",
        "configuration": configuration,
        "seeds": (number, number + 1),
        "epochs": EPOCHS,
        "split_seed": 1,
        "validation_fraction": 0.2,
        "training_images": None,
        "validation_images": None,
        "precision": "fp32",
        "checkpoint": str(folder / f"{number}.safetensors"),
        "states": str(folder / "states"),
        "state_interval_s": 0.0,
    }
    return Job(**{**values, **fields})


def jobs_in(folder: Path) -> list[Job]:
    """Two kinds of pack, every regularizer, a denoiser, a training that diverges, one or two seeds, a retraining."""
    own = [
        {},
        {"dropout": 0.2, "learning_rate": 5e-3},
        {"noise_variance": 0.1, "schedule": "cosine"},
        {"l1": 1e-4, "l2": 1e-4, "weight_decay": 0.1},
        {"sparse_code": 1e-3},
        {"output": "linear", "schedule": "constant", "learning_rate": 1e30},
    ]
    jobs = [
        job_in(folder, 10 * number, dataclasses.replace(base, **values))
        for number, (base, values) in enumerate((base, values) for values in own for base in (BASE, OTHER))
    ]
    return [*jobs, job_in(folder, 500, purpose="retraining", seeds=(7,), states=None)]


def alone(job: Job, images: ImageData) -> list[dict]:
    from sweep.training.fit import fit

    folder = Path(job.checkpoint).parent / "alone"
    return numbers(
        fit(dataclasses.replace(job, states=None, checkpoint=str(folder / Path(job.checkpoint).name)), images)
    )


def numbers(rows) -> list[dict]:
    times = ("seconds", "held_seconds", "continued")
    return [{name: str(value) for name, value in row.items() if name not in times} for row in rows]


def follow(job, reference, trainer, pace_s: float = 0.0, until: int | None = None) -> list[dict]:
    from sweep.cluster.trial import trained_rows

    rows = []
    for row in trained_rows(job, reference, trainer):
        rows.append(row)
        if row["epoch"] == until:
            break
        time.sleep(pace_s)
    return rows


def eventually(question, answer, within_s: float = 60.0):
    deadline = time.monotonic() + within_s
    while (got := question()) != answer:
        assert time.monotonic() < deadline, got
        time.sleep(0.02)


def test_every_job_of_many_at_once_gives_the_rows_that_it_gives_alone(tmp_path, cluster, images, reference, start):
    jobs, trainer = jobs_in(tmp_path), start()
    with ThreadPoolExecutor(len(jobs)) as threads:
        found = list(threads.map(lambda job: numbers(follow(job, reference, trainer)), jobs))
    expected = [alone(job, images) for job in jobs]
    assert found == expected
    assert {len(rows) for rows in found} == {1, EPOCHS}
    assert found[-1][-1]["test"]
    checkpoint = Path(jobs[-1].checkpoint)
    assert checkpoint.read_bytes() == (tmp_path / "alone" / checkpoint.name).read_bytes()
    eventually(lambda: cluster.get(trainer.trials.remote()), {})


def test_states_that_a_trainer_writes_are_those_of_a_job_alone(tmp_path, images, reference, start):
    from sweep.training.fit import fit

    job = job_in(tmp_path)
    follow(job, reference, start())
    list(fit(other := dataclasses.replace(job, states=str(tmp_path / "alone")), images))
    files = [state_files(Path(found.states), job.trial) for found in (job, other)]
    # A trainer is an epoch ahead when a row is taken, and may have missed the moment for a state of the last but one.
    common = {epoch for epoch, _ in files[0]} & {epoch for epoch, _ in files[1]}
    assert common
    for epoch in common:
        assert dict(files[0])[epoch].read_bytes() == dict(files[1])[epoch].read_bytes()


def test_trial_that_is_stopped_leaves_at_once_and_its_neighbour_goes_on(tmp_path, cluster, images, reference, start):
    trainer = start()
    stopped = job_in(tmp_path, 0, epochs=100_000)
    other = job_in(tmp_path, 10)
    with ThreadPoolExecutor(1) as thread:
        rows = thread.submit(follow, other, reference, trainer, 0.05)
        follow(stopped, reference, trainer, until=3)
        eventually(lambda: stopped.trial in cluster.get(trainer.trials.remote()), False, within_s=5)
        assert numbers(rows.result()) == alone(other, images)


def test_nothing_is_trained_or_kept_far_ahead_of_what_the_trial_has_taken(tmp_path, cluster, reference, start):
    from sweep.cluster.trainer import MAX_AHEAD
    from sweep.cluster.trial import trained_rows

    trainer = start()
    job = job_in(tmp_path, epochs=100_000)
    rows = trained_rows(job, reference, trainer)
    for taken in range(3):
        assert next(rows)["epoch"] == taken + 1
        eventually(lambda: cluster.get(trainer.trials.remote()), {job.trial: taken + MAX_AHEAD})
        time.sleep(0.3)
        assert cluster.get(trainer.trials.remote()) == {job.trial: taken + MAX_AHEAD}
        assert all(epoch <= taken for epoch, _ in state_files(Path(job.states), job.trial))
    rows.close()


def test_trial_whose_process_was_killed_is_evicted_when_it_comes_again(tmp_path, cluster, images, reference, start):
    @cluster.remote(num_cpus=0)
    class Follower:
        def __init__(self, job, reference, trainer):
            from sweep.cluster.trial import trained_rows

            self._rows = trained_rows(job, reference[0], trainer)

        def take(self):
            return next(self._rows)["epoch"]

    trainer, job = start(), job_in(tmp_path)
    follower = Follower.remote(job, [reference], trainer)
    assert [cluster.get(follower.take.remote()) for _ in range(3)] == [1, 2, 3]
    cluster.kill(follower)
    again = dataclasses.replace(job, recorded=2)
    rows = follow(again, reference, trainer)
    assert rows[0]["continued"]["epoch"] == rows[0]["epoch"] - 1 <= 2
    assert numbers(rows) == alone(job, images)[rows[0]["epoch"] - 1 :]
    eventually(lambda: cluster.get(trainer.trials.remote()), {})


def test_earlier_attempt_is_told_that_it_is_over(tmp_path, cluster, reference, start):
    trainer, job = start(), job_in(tmp_path)
    cluster.get(trainer.join.remote(job, "first", [reference]))
    cluster.get(trainer.join.remote(job, "second", [reference]))
    with pytest.raises(LookupError, match="another attempt at it has joined"):
        cluster.get(trainer.next_row.remote(job.trial, "first"))
    cluster.get(trainer.leave.remote(job.trial, "first"))
    assert cluster.get(trainer.next_row.remote(job.trial, "second"))["epoch"] == 1


def test_trial_that_does_not_ask_leaves_the_device_and_goes_on_when_it_asks_again(
    tmp_path, cluster, images, reference, start
):
    from sweep.cluster.trial import trained_rows

    trainer, job = start(lease_s=0.5), job_in(tmp_path)
    rows = trained_rows(job, reference, trainer)
    found = {row["epoch"]: row for row in (next(rows), next(rows), next(rows))}
    eventually(lambda: cluster.get(trainer.trials.remote()), {job.trial: 0})
    found |= {row["epoch"]: row for row in rows}
    assert numbers(found[epoch] for epoch in sorted(found)) == alone(job, images)
    assert any("continued" in row for row in found.values())


def test_trials_of_a_killed_trainer_go_on_from_their_states(tmp_path, cluster, images, reference, start):
    trainer = start()
    pid = cluster.get(trainer.process.remote())
    jobs = [job_in(tmp_path, 10 * number, epochs=12) for number in range(3)]
    with ThreadPoolExecutor(3) as threads:
        followed = [threads.submit(follow, job, reference, trainer, 0.1) for job in jobs]
        eventually(lambda: sum(epoch >= 4 for epoch in cluster.get(trainer.trials.remote()).values()), 3)
        os.kill(pid, signal.SIGKILL)
        found = [rows.result() for rows in followed]
    assert cluster.get(trainer.process.remote()) != pid
    for job, rows in zip(jobs, found, strict=True):
        epochs = {row["epoch"]: row for row in rows}
        assert numbers(epochs[epoch] for epoch in sorted(epochs)) == alone(job, images)
        assert [row["continued"]["epoch"] > 0 for row in rows if "continued" in row] == [True]


def test_job_that_kills_its_trainer_again_and_again_is_given_up(tmp_path, cluster, reference):
    @cluster.remote(num_cpus=0, max_restarts=-1)
    class Fragile:
        async def join(self, job, attempt, images):
            pass

        async def next_row(self, trial, attempt):
            os.kill(os.getpid(), signal.SIGKILL)

        async def leave(self, trial, attempt):
            pass

    trainer = Fragile.remote()
    with pytest.raises(RuntimeError, match="its trainer died 3 times after epoch 0 and before the next"):
        follow(job_in(tmp_path), reference, trainer)
    cluster.kill(trainer)


def test_what_a_training_breaks_at_is_told_to_its_trial_alone(tmp_path, images, reference, start):
    trainer = start()
    (tmp_path / "file").write_text("not a folder")
    broken = job_in(tmp_path, 500, purpose="retraining", seeds=(7,), states=None)
    broken = dataclasses.replace(broken, checkpoint=str(tmp_path / "file" / "0.safetensors"))
    whole = job_in(tmp_path, 10)
    with ThreadPoolExecutor(2) as threads:
        rows = threads.submit(follow, whole, reference, trainer)
        with pytest.raises(OSError, match=r"Not a directory|File exists"):
            follow(broken, reference, trainer)
        assert numbers(rows.result()) == alone(whole, images)
