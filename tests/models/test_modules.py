"""A user's own family, as docs/MODELS.md has it: installed, named in a study, trained, kept and read back."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from aesweep.models import installed
from aesweep.models.modules import ModuleArchitecture
from aesweep.process.errors import StudyError
from aesweep.run.preflight.model_check import check_models
from aesweep.search.stages import stage_trials
from aesweep.search.trial_spec import pack_key
from aesweep.study.configuration import Configuration
from aesweep.study.study_file import check_study
from aesweep.training.checkpoints.model_file import checkpoint_content, read_checkpoint
from aesweep.training.engine.member import architecture_of
from aesweep.training.memory import pack_memory
from aesweep.training.pack import Pack
from tests.training.plain_training import some_images, train_plainly

DOCUMENT = (Path(__file__).parents[2] / "docs" / "MODELS.md").read_text()
SHAPE = (1, 7, 6)
OPTIONS = (("kind", "gelu"), ("num_blocks", 2), ("width", 9))
MINE = Configuration(
    hidden_layers=(), latent_dim=3, batch_size=16, learning_rate=3e-3, family="lab_residual", options=OPTIONS
)
# Its decoder has the weights of its encoder, transposed.
TIED = dataclasses.replace(MINE, family="lab_tied")

MINE_ALONE = {"family": "lab_residual"}
EACH = {**dict(OPTIONS), "when": MINE_ALONE}  # each setting an axis


@pytest.fixture(autouse=True)
def lab(tmp_path, monkeypatch):
    """The document's package, as pip would leave it: a module, and what it offers."""
    (code,) = re.findall(r"```python\n(from typing.*?)```", DOCUMENT, re.DOTALL)
    (offer,) = re.findall(r"```toml\n\[project.entry-points.(\".*?\")\]\n(.*?)```", DOCUMENT, re.DOTALL)
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "__init__.py").touch()
    (tmp_path / "lab" / "models.py").write_text(code)
    (tmp_path / "lab" / "bad.py").write_text("raise RuntimeError('no such GPU')\n")
    others = "lab_bad = lab.bad:Nothing\nlab_nothing = lab.models:nn\nlab_normal = lab.normal:Normal\n"
    others += "".join(
        f"lab_{name.lower()} = lab.normal:{name}\n"
        for name in ("Clash", "Tied", "Chance", "OfABatch", "Picky", "Untyped", "Broken", "Large", "Nested")
    )
    (tmp_path / "lab" / "normal.py").write_text(
        "from torch import nn\nclass Normal:\n    axes = {}\n"
        "    @staticmethod\n    def modules(settings, image_shape):\n"
        "        return nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(42, 3)), nn.Linear(3, 42)\n"
        "class Clash(Normal):\n    axes = {'width': int, 'activation': str}\n"
        "class Tied(Normal):\n    @staticmethod\n    def modules(settings, image_shape):\n"
        "        first, last = nn.Linear(42, 5), nn.Linear(5, 3)\n"
        "        encoder = nn.Sequential(nn.Flatten(), first, nn.Tanh(), last)\n"
        "        return encoder, nn.Sequential(Back(last), nn.Tanh(), Back(first), nn.Sigmoid())\n"
        "class Back(nn.Module):\n    def __init__(self, there):\n        super().__init__()\n"
        "        self.weight, self.bias = there.weight, nn.Parameter(there.weight.new_zeros(there.in_features))\n"
        "    def forward(self, codes):\n        return codes @ self.weight + self.bias\n"
        "class Picky(Tied):\n    axes = {'width': int}\n    @staticmethod\n    def modules(settings, image_shape):\n"
        "        if settings['width'] == 9:\n            raise ValueError('options.width: not 9')\n"
        "        return Tied.modules(settings, image_shape)\n"
        "class Untyped(Normal):\n    axes = {'kind': ['relu', 'gelu']}\n"
        "class Nested(Normal):\n    axes = {'kinds': list[dict[str, int]]}\n"
        "class Broken(Normal):\n    @staticmethod\n    def modules(settings, image_shape):\n"
        "        return nn.Flatten(), settings['typo']\n"
        "class Large(Normal):\n    @staticmethod\n    def modules(settings, image_shape):\n"
        "        return nn.Sequential(nn.Conv2d(1, 1, 9), nn.Flatten()), nn.Linear(3, 42)\n"
        "class Chance(Normal):\n    @staticmethod\n    def modules(settings, image_shape):\n"
        "        return nn.Sequential(nn.Flatten(), nn.Linear(42, 3), nn.Dropout(0.1)), nn.Linear(3, 42)\n"
        "class OfABatch(Normal):\n    @staticmethod\n    def modules(settings, image_shape):\n"
        "        normal = nn.BatchNorm1d(42, track_running_stats=False)\n"
        "        return nn.Sequential(nn.Flatten(), normal, nn.Linear(42, 3)), nn.Linear(3, 42)\n"
    )
    info = tmp_path / "lab-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{offer[0].strip(chr(34))}]\n{offer[1].replace(chr(34), '')}{others}")
    monkeypatch.syspath_prepend(tmp_path)
    installed.load_family.cache_clear()
    yield
    installed.load_family.cache_clear()


def study(**space) -> dict:
    begin = DOCUMENT.index("    space:\n      family: {grid: [dense, lab_residual]}")
    example = DOCUMENT[begin : DOCUMENT.index("\n\n", begin)]
    stage = {**yaml.safe_load("\n".join(line[4:] for line in example.splitlines())), "epochs": 2}
    stage["space"].update(space)
    return {"name": "mine", "datasets": ["digits"], "stages": {"architecture": stage}}


def test_the_documents_study_has_a_column_for_each_model_and_a_pack_for_each_shape():
    specs = stage_trials(check_study(study(), "study"), "architecture", {"digits": None})
    models = {dict(spec.cell)["model"] for spec in specs}
    assert models == {
        "1024",
        "lab_residual kind gelu num_blocks 2 width 256",
        "lab_residual kind relu num_blocks 1 width 512",
    }
    assert len(specs) == len({pack_key(spec) for spec in specs}) == 6
    for spec in specs:
        assert Configuration.from_dict(spec.configuration.as_dict()) == spec.configuration


def drawn(values: dict, base: Configuration | None = None) -> list[Configuration]:
    return [spec.configuration for spec in stage_trials(check_study(values, "study"), "architecture", {"digits": base})]


def test_axes_of_settings_are_crossed_as_the_mappings_would_be():
    each = {"num_blocks": {"grid": [1, 2]}, "width": {"grid": [8, 9]}, "kind": "gelu", "when": MINE_ALONE}
    whole = [{"num_blocks": blocks, "width": width, "kind": "gelu"} for blocks in (1, 2) for width in (8, 9)]
    found, expected = drawn(study(options=each)), drawn(study(options={"grid": whole, "when": MINE_ALONE}))
    assert len(found) == len(expected) == 2 * (1 + 4)
    assert {*found} == {*expected}


def test_settings_alone_are_axes_of_a_table_and_are_drawn():
    values = study(
        family="lab_residual",
        options={"num_blocks": {"grid": [1, 2]}, "width": {"choice": [8, 9, 10]}, "kind": {"choice": ["relu", "gelu"]}},
    )
    del values["stages"]["architecture"]["space"]["hidden_layers"]
    values["stages"]["architecture"] |= {"table": {"rows": "options.num_blocks", "columns": "latent_dim"}, "samples": 8}
    specs = stage_trials(check_study(values, "study"), "architecture", {"digits": None})
    assert {spec.cell for spec in specs} == {
        (("options.num_blocks", blocks), ("latent_dim", dim)) for blocks in (1, 2) for dim in (15, 30)
    }
    by_cell = {cell: [spec.configuration for spec in specs if spec.cell == cell] for cell in {s.cell for s in specs}}
    for cell, configurations in by_cell.items():
        settings = [dict(configuration.options) for configuration in configurations]
        assert {found["num_blocks"] for found in settings} == {dict(cell)["options.num_blocks"]}
        assert {found["width"] for found in settings} == {8, 9, 10}
        assert {found["kind"] for found in settings} == {"relu", "gelu"}
    # Sample i has the same draws in every cell.
    pairs = [[(dict(c.options)["width"], dict(c.options)["kind"]) for c in found] for found in by_cell.values()]
    assert all(found == pairs[0] for found in pairs)


def test_more_samples_continue_the_draws_of_settings():
    values = study(
        family="lab_residual", options={"num_blocks": 1, "width": {"choice": [*range(1, 90)]}, "kind": "relu"}
    )
    del values["stages"]["architecture"]["space"]["hidden_layers"]
    values["stages"]["architecture"] |= {"table": {"rows": "latent_dim"}, "samples": 4}
    few = drawn(values)
    values["stages"]["architecture"]["samples"] = 8
    assert drawn(values)[: len(few)] == few


def test_a_study_with_axes_of_settings_is_the_same_when_it_is_read_back_from_a_journal():
    values = study(options={**EACH, "width": {"grid": [8, 9]}, "num_blocks": {"value": 1, "when": MINE_ALONE}})
    read = check_study(values, "study")
    assert check_study(read.resolved(), "journal").resolved() == read.resolved()
    assert check_study(read.resolved(), "journal").sha256() == read.sha256()


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"options": {"value": {"width": 1}, "when": {"family": "lab_residual"}}}, "family lab_residual needs kind"),
        ({"options": {"width": 1, "when": MINE_ALONE}}, "family lab_residual needs num_blocks"),
        ({"options": {"grid": [dict(OPTIONS)], "width": 1}}, "space.options.width: unknown key"),
        ({"options": {**EACH, "width": {"grid": [8, "9"]}}}, "options.width: Input should be a valid integer, got '9'"),
        ({"options": {**EACH, "width": {"grid": []}}}, "space.options.width.grid: List should have at least 1 item"),
        (
            {"options": {**EACH, "width": {"uniform": [1, 5]}}},
            "options.width: Input should be a valid integer, got 1.0",
        ),
        ({"options": {**EACH, "width": {"uniform": [5.0, 1.0]}}}, "uniform expects [low, high] with low < high"),
        ({"options": {**EACH, "width": {"min": 1}}}, "space.options.width.min: unknown key"),
        ({"options": {**EACH, "kind": "tanh"}}, "options.kind: Input should be 'relu' or 'gelu', got 'tanh'"),
        ({"options": {**EACH, "depth": 2}}, "options.depth: family lab_residual has no such setting"),
        ({"options": {**EACH, "when": {}}}, "options applies under family dense, which has none"),
        ({"options": {**EACH, "when": "lab_residual"}}, "space.options.kind.when: Input should be a valid dictionary"),
        (
            {"options": {**EACH, "width": {"value": 9, "when": {"latent_dim": 15}}}},
            "options.width.when: family lab_residual needs its settings in every trial",
        ),
        ({"options": {**EACH, "width": {"choice": [8, 9]}}}, "'model' needs options.width to be a grid"),
        ({"options": {}}, "family lab_residual needs width"),
        (
            {"options": {"value": {**dict(OPTIONS), "width": "9"}, "when": {"family": "lab_residual"}}},
            "options.width: Input should be a valid integer, got '9'",
        ),
        (
            {"options": {"value": {**dict(OPTIONS), "kind": "tanh"}, "when": {"family": "lab_residual"}}},
            "options.kind: Input should be 'relu' or 'gelu', got 'tanh'",
        ),
        (
            {"options": {"value": {**dict(OPTIONS), "depth": 2}, "when": {"family": "lab_residual"}}},
            "options.depth: family lab_residual has no such setting",
        ),
        ({"options": {"value": dict(OPTIONS)}}, "options applies under family dense, which has none"),
        (
            {"family": {"grid": ["dense", "lab_residual", "lab_x"]}},
            "family 'lab_x' is not installed, known are",
        ),
        ({"family": {"grid": ["dense", "lab_residual", "lab_bad"]}}, "cannot be imported (RuntimeError: no such GPU)"),
        ({"family": {"grid": ["dense", "lab_residual", "lab_nothing"]}}, "has no dict `axes` and function `modules`"),
        (
            {
                "family": {"grid": ["dense", "lab_clash"]},
                "options": {"width": 1, "activation": "relu", "when": {"family": "lab_clash"}},
            },
            "family 'lab_clash': lab.normal:Clash has a setting activation, the name of an axis that all families",
        ),
        (
            {
                "family": {"grid": ["dense", "lab_untyped"]},
                "options": {"kind": "relu", "when": {"family": "lab_untyped"}},
            },
            "options.kind: family lab_untyped has no type for it in `axes`, but ['relu', 'gelu']",
        ),
        (
            {
                "family": {"grid": ["dense", "lab_nested"]},
                "options": {"kinds": [{"a": 1}], "when": {"family": "lab_nested"}},
            },
            "options.kinds: expected a number, a word or a list of these, got [{'a': 1}]",
        ),
        ({"family": "./models.py"}, "String should match pattern"),
    ],
)
def test_faulty_options_and_families_are_refused(space, message):
    with pytest.raises(StudyError) as caught:
        check_study(study(**space), "study")
    assert message in str(caught.value)
    assert caught.value.exit_code == 78


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"dropout": 0.1}, "dropout: family lab_residual takes 0 alone; got 0.1"),
        ({"code": "variational"}, "code: family lab_residual takes 'plain' alone; got 'variational'"),
        (
            {"family": {"grid": ["dense", "lab_normal"]}},
            "lab_normal: expected modules without buffers; got 1.0",
        ),
        (
            {"family": {"grid": ["dense", "lab_chance"]}},
            "lab_chance: expected modules that draw nothing at random; got aten::",
        ),
        (
            {"family": {"grid": ["dense", "lab_broken"]}},
            "lab_broken: its modules cannot be built (KeyError: 'typo') (data set digits)",
        ),
        (
            {"family": {"grid": ["dense", "lab_large"]}},
            "lab_large: its encoder cannot take images (RuntimeError: Calculated padded input size",
        ),
        (
            {"family": {"grid": ["dense", "lab_ofabatch"]}},
            "lab_ofabatch: expected no normalization of batches; got 1.1",
        ),
    ],
)
def test_what_a_family_cannot_do_is_refused_before_a_run(space, message):
    values = study(**space)
    if "family" in space:
        del values["stages"]["architecture"]["space"]["options"]
        values["stages"]["architecture"]["space"]["latent_dim"] = {"grid": [3]}
    with pytest.raises(StudyError) as caught:
        check_models(check_study(values, "study"), {"digits": SHAPE})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"width": {"choice": [*range(1, 10)]}}, {"choice": [{"width": width} for width in range(1, 10)]}]
)
def test_every_setting_that_a_sampler_may_choose_is_tried_before_a_run(options):
    values = study(family="lab_picky", options=options, latent_dim={"grid": [3]})
    del values["stages"]["architecture"]["space"]["hidden_layers"]
    values["stages"]["architecture"] |= {"table": {"rows": "latent_dim"}, "sampler": "tpe", "samples": 2}
    with pytest.raises(StudyError) as caught:
        check_models(check_study(values, "study"), {"digits": SHAPE})
    assert "stages.architecture.space.options.width: not 9" in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("initialization", ["uniform", "orthogonal"])
@pytest.mark.parametrize("mine", [MINE, TIED], ids=["residual", "tied"])
def test_training_equals_a_plain_module_with_autograd_and_adam(dtype, initialization, mine):
    configuration = dataclasses.replace(mine, l2=1e-4, initialization=initialization)
    images = some_images(16 * 15 - 5, 42)
    pack = Pack(images, image_shape=SHAPE, dtype=dtype)
    pack.add("a", configuration, seed=0, epochs=2)
    got = [loss for _ in range(2) for loss in pack.train_epoch()["a"].step_losses.tolist()]
    expected, _, _ = train_plainly(images, configuration, seed=0, epochs=2, dtype=dtype, image_shape=SHAPE)
    np.testing.assert_allclose(got, expected, rtol=1e-5 if dtype == torch.float32 else 1e-10)


@pytest.mark.parametrize("mine", [MINE, TIED], ids=["residual", "tied"])
def test_lock_step_memory_and_checkpoint_are_those_of_any_family(tmp_path, mine):
    images = some_images(70, 42)
    ends = []
    for members_per_step in (1, 2):
        pack = Pack(images, image_shape=SHAPE, dtype=torch.float64, members_per_step=members_per_step)
        for seed, key in enumerate("ab"):
            pack.add(key, mine, seed=seed, epochs=2)
        pack.train_epoch()
        ends.append(pack.train_epoch()["b"].loss)
    assert ends[1] == pytest.approx(ends[0], rel=1e-10)
    architecture = architecture_of(mine, SHAPE)
    assert isinstance(architecture, ModuleArchitecture)
    assert architecture == architecture_of(mine, SHAPE) and hash(architecture) == hash(architecture_of(mine, SHAPE))
    assert pack_memory(architecture, 70, 16).needed(2, 2) > 3 * 2 * 4 * architecture.layout.num_parameters
    pack = Pack(images, image_shape=SHAPE)
    pack.add("a", mine, seed=0, epochs=1)
    pack.train_epoch()
    path = tmp_path / "a.safetensors"
    path.write_bytes(checkpoint_content(pack.export("a"), mine, dataset="d", image_shape=SHAPE, seed=0))
    module, metadata = read_checkpoint(path)
    assert metadata.configuration == mine
    assert isinstance(module, nn.Sequential)
    assert sum(parameter.numel() for parameter in module.parameters()) == architecture.layout.num_parameters
    torch.testing.assert_close(architecture.as_parameters(module), pack.export("a").parameters, rtol=0, atol=0)
    inputs = torch.rand(5, 42)
    with torch.no_grad():
        torch.testing.assert_close(module(inputs), pack.reconstruct("a", inputs))
        codes = architecture.encode(pack.export("a").parameters, inputs)
        torch.testing.assert_close(architecture.decode(pack.export("a").parameters, codes), module(inputs))
