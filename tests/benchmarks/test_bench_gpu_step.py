"""What the benchmark of a step takes hold of inside a pack is there, and its clock of the host changes nothing."""

import dataclasses

import bench_gpu_step
import torch

from aesweep.training.engine.gpu.lock_step import LockStepStack
from tests.training.replay import Replay

SMALL = dataclasses.replace(bench_gpu_step.ALL, hidden_layers=(8,), latent_dim=3, batch_size=4)


def test_a_packs_step_can_be_replayed_and_its_hosts_time_is_told(monkeypatch):
    monkeypatch.setattr(LockStepStack, "capture", {"cpu": Replay})
    pack, plain = (bench_gpu_step.pack_of(2, 5, SMALL, device="cpu") for _ in range(2))
    pack.train_epoch()
    plain.train_epoch()
    host = bench_gpu_step.HostTime(pack)
    timed, untimed = pack.train_epoch(), plain.train_epoch()
    for key, result in untimed.items():
        assert torch.equal(timed[key].step_losses, result.step_losses)
    assert host.drawing > 0 and host.calling > 0
    reset, replay = bench_gpu_step.replay_of(pack)
    reset()
    before = pack.export("0").parameters
    replay()
    assert not torch.equal(pack.export("0").parameters, before)
    assert bench_gpu_step.stack_of(pack)._step.item() == 1


def test_without_a_gpu_it_says_so_and_ends_well(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bench_gpu_step.py"])
    bench_gpu_step.main()
    assert capsys.readouterr().out == "no GPU\n"
