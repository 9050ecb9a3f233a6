"""Figures before they are files: what they draw, how it can be told apart, and how large it is."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from synthetic import LINEAR_DB, NOISY_DB, SPACES, Synthetic

from aesweep.report.analysis.frames import cell_frame
from aesweep.report.figures.architecture import architecture_figure
from aesweep.report.figures.axes import axes_figure
from aesweep.report.figures.curves import learning_curves
from aesweep.report.figures.denoising import denoising_figure
from aesweep.report.figures.pictures import denoising_grid, reconstruction_grid
from aesweep.report.figures.rungs import rungs_figure
from aesweep.report.figures.spending import spending_figure
from aesweep.report.figures.style import Drawing, styled
from aesweep.report.rows.published import Published
from aesweep.report.rows.reader import read_run
from aesweep.report.rows.types import Run, Trial
from aesweep.report.sections.example_images import pictures
from aesweep.storage.run_folder import RunFolder
from aesweep.storage.run_state import RunState
from aesweep.study.search_space import SearchSpace

SPACE = SearchSpace.model_validate(SPACES["regularization"])


@pytest.fixture(autouse=True)
def style():
    with styled():
        yield


@pytest.fixture(scope="module")
def drawings(run: Run) -> dict[str, Drawing]:
    published = Published(run.reference)
    stages = run.stages
    arrays = {name: np.zeros((10, 1, 28, 28)) for name in ("original", "winner", "pca")}
    with styled():
        architecture = cell_frame(run, stages["architecture"], "mnist")
        denoising = cell_frame(run, stages["denoising"], "mnist")
        return {
            "architecture": architecture_figure("a", stages["architecture"], "mnist", architecture, published),
            "curves": learning_curves("c", stages["regularization"], "mnist"),
            "denoising": denoising_figure("d", run, stages["denoising"], "mnist", denoising),
            "rungs": rungs_figure("r", run, "mnist"),
            "axes": axes_figure("x", stages["regularization"], "mnist", SPACE.axes()),
            "spending": spending_figure("s", run, "mnist"),
            "pictures": reconstruction_grid("p", "mnist", "architecture", arrays, 100, 100),
        }


NAMES = ["architecture", "curves", "denoising", "rungs", "axes", "spending", "pictures"]


def texts(figure: Figure) -> list[Text]:
    """What is written in a figure once it is drawn; labels of ticks beyond an axis' ends are not drawn."""
    FigureCanvasAgg(figure).draw()
    beyond = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not (axes.axison and low <= tick.get_loc() <= high):
                    beyond |= {tick.label1, tick.label2}
    return [t for t in figure.findobj(Text) if t not in beyond and t.get_visible() and t.get_text().strip()]


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_as_wide_as_a_page_and_readable(drawings: dict[str, Drawing], name: str) -> None:
    figure = drawings[name].figure
    assert 6.5 <= figure.get_figwidth() <= 7
    assert min(text.get_fontsize() for text in texts(figure)) >= 8


@pytest.mark.parametrize("name", NAMES)
def test_nothing_written_is_cut_off_or_overlaps(drawings: dict[str, Drawing], name: str) -> None:
    figure = drawings[name].figure
    boxes = {text: text.get_window_extent() for text in texts(figure)}
    assert len(boxes) >= 3
    for box in boxes.values():
        inside = box.transformed(figure.transFigure.inverted())
        assert min(inside.x0, inside.y0) >= -0.005 and max(inside.x1, inside.y1) <= 1.005
    overlapping = [
        (a.get_text(), b.get_text()) for a, b in itertools.combinations(boxes, 2) if boxes[a].overlaps(boxes[b])
    ]
    assert overlapping == []


@pytest.mark.parametrize(
    ("rungs", "epochs"),
    [((1, 3, 9), 10), ((1, 3, 9, 27), 28), ((1, 2, 4, 8, 16, 32, 64, 128, 256, 512), 513), ((), 1), ((1,), 2),
     ((9, 27, 81, 243), 244), (tuple(range(1, 100)), 100), ((999, 1998), 2000)],
)  # fmt: skip
def test_ticks_of_any_rungs_keep_clear_of_each_other(run: Run, rungs: tuple[int, ...], epochs: int) -> None:
    def stopped(trial: Trial, index: int) -> Trial:
        rung = (*rungs, epochs)[index % (len(rungs) + 1)]
        last = dataclasses.replace(trial.epochs[-1], epoch=rung)
        first = dataclasses.replace(trial.epochs[0], epoch=1)
        status = "stopped" if rung in rungs else "completed"
        return dataclasses.replace(trial, epochs=(first, last), status=status)

    stages = {}
    for name, stage in run.stages.items():
        trials = [trial for trial in stage.trials if trial.dataset == "mnist" and trial.epochs]
        changed = tuple(stopped(trial, index) for index, trial in enumerate(trials * 3))
        stages[name] = dataclasses.replace(stage, rungs=rungs, epochs=epochs, trials=changed)
    for shown in (stages, {"denoising": stages["denoising"]}):
        figure = rungs_figure("r", dataclasses.replace(run, stages=shown), "mnist").figure
        FigureCanvasAgg(figure).draw()
        boxes = {text: text.get_window_extent() for text in texts(figure) if not text.get_text().isspace()}
        for a, b in itertools.combinations(boxes, 2):
            # A label that was moved down begins with empty lines, which cover nothing.
            assert not _ink(a, boxes[a]).overlaps(_ink(b, boxes[b])), (a.get_text(), b.get_text())


def _ink(text: Text, box: Bbox) -> Bbox:
    lines = text.get_text().split("\n")
    empty = sum(1 for _ in itertools.takewhile(lambda line: not line, lines))
    return Bbox.from_extents(box.x0, box.y0 + 1, box.x1, box.y1 - 1 - box.height * empty / len(lines))


def test_the_architecture_figure_draws_the_tables_numbers(run: Run, drawings: dict[str, Drawing]) -> None:
    frame = cell_frame(run, run.stages["architecture"], "mnist")
    (axes,) = drawings["architecture"].figure.axes
    containers = {container.get_label(): container.lines[0] for container in axes.containers}
    for widths, line in containers.items():
        mine = frame[frame["hidden_layers"] == widths]
        assert list(line.get_xdata()) == list(mine["latent_dim"])
        np.testing.assert_array_equal(np.asarray(line.get_ydata(), dtype=float), mine["value"].astype(float))
    assert list(containers) == ["1024", "512-128", "512-384-256-128"]
    pca = next(line for line in axes.lines if line.get_label() == "PCA")
    assert list(pca.get_ydata()) == list(frame["pca_validation"].unique())


def test_a_stage_judged_by_its_psnr_has_an_architecture_figure(run: Run) -> None:
    stage = dataclasses.replace(run.stages["architecture"], metric="validation_psnr_db", mode="max")
    frame = cell_frame(run, stage, "fashion_mnist")
    drawing = architecture_figure("a", stage, "fashion_mnist", frame, Published(run.reference))
    (axes,) = drawing.figure.axes
    lines = {container.get_label(): container.lines[0] for container in axes.containers}
    for widths, line in lines.items():
        mine = frame[frame["hidden_layers"] == widths]
        np.testing.assert_array_equal(np.asarray(line.get_ydata(), dtype=float), mine["value"].astype(float))
    assert axes.get_ylabel() == "Validation PSNR (dB)" and axes.get_yscale() == "linear"
    assert f"the highest point is {frame['value'].max():.3g} dB" in drawing.alternative and "MSE" not in drawing.caption
    assert not any(line.get_label().startswith("Published") for line in axes.lines)


def test_lines_differ_by_more_than_colour(drawings: dict[str, Drawing]) -> None:
    (axes,) = drawings["architecture"].figure.axes
    lines = [container.lines[0] for container in axes.containers]
    lines += [line for line in axes.lines if not line.get_label().startswith("_")]
    looks = {(line.get_marker(), line.get_linestyle(), line.get_markerfacecolor()) for line in lines}
    assert len(looks) == len(lines)


def test_axes_are_labelled(drawings: dict[str, Drawing]) -> None:
    for name in ("architecture", "denoising", "rungs"):
        for axes in drawings[name].figure.axes:
            if axes.axison:
                assert axes.get_xlabel() and axes.get_ylabel()


def test_epochs_are_whole_numbers(drawings: dict[str, Drawing]) -> None:
    for drawing in drawings.values():
        for axes in drawing.figure.axes:
            for last in (2, 9, 12, 30) if axes.get_xlabel() == "Epoch" else ():
                axes.set_xlim(0.5, last + 0.5)
                assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_denoising_baselines_are_drawn_in_db_whatever_the_stage_is_judged_by() -> None:
    synthetic = Synthetic()
    synthetic._start()
    synthetic._search("architecture", "validation_mse", {"rows": "latent_dim", "columns": "hidden_layers"})
    synthetic._search("denoising", "validation_mse", {"rows": "noise_variance", "columns": None})
    run = read_run(RunState([{"seq": i, "time": 0.0, **event} for i, event in enumerate(synthetic.events)]))
    stage = run.stages["denoising"]
    left, _ = denoising_figure("d", run, stage, "mnist", cell_frame(run, stage, "mnist")).figure.axes
    drawn = {line.get_label(): list(line.get_ydata()) for line in left.lines}
    assert drawn["Linear MMSE"] == list(LINEAR_DB.values())
    assert drawn["Noisy input"] == list(NOISY_DB.values())


def test_caption_speaks_of_intervals_where_there_are_any(run: Run) -> None:
    stage = run.stages["denoising"]
    frame = cell_frame(run, stage, "mnist")
    single = frame.assign(test_psnr_db_half_width=None)
    one = frame.assign(test_psnr_db_half_width=[0.1, *[None] * (len(frame) - 1)])
    for shown, has_bars in ((frame, True), (single, False), (one, True)):
        caption = denoising_figure("d", run, stage, "mnist", shown).caption
        assert "Left: on test images" in caption
        assert ("bars are 95 % intervals over seeds" in caption) == has_bars


def test_stopped_trials_end_at_their_rung(run: Run, drawings: dict[str, Drawing]) -> None:
    axes = drawings["rungs"].figure.axes[0]
    ends = [line.get_xdata()[-1] for line in axes.lines if line.get_label() == "Stopped at a rung"]
    stopped = [
        trial.last.epoch
        for trial in run.stages["architecture"].trials
        if trial.dataset == "mnist" and trial.status == "stopped"
    ]
    assert sorted(ends) == sorted(stopped) and set(ends) <= set(run.stages["architecture"].rungs)


def test_a_stage_without_a_winner_has_no_curves(run: Run) -> None:
    assert learning_curves("c", run.stages["regularization"], "no such data set") is None


def test_pictures_state_the_numbers_of_each_method() -> None:
    arrays = {name: np.zeros((2, 1, 8, 8)) for name in ("original", "winner", "pca")}
    same = reconstruction_grid("p", "mnist", "architecture", arrays, 16, 16)
    assert "PCA's, both from 16 numbers an image." in same.alternative
    assert (
        "from a code of length 16, by the retrained winner of architecture (its first seed) and by PCA." in same.caption
    )
    cut = reconstruction_grid("p", "mnist", "architecture", arrays, 100, 64)
    assert "reconstructions from 100 numbers an image and PCA's from 64." in cut.alternative
    assert "by PCA from 64 numbers, as many as there are." in cut.caption and "both" not in cut.alternative


@pytest.mark.parametrize("recorded", [{}, {"pca_latent_dim": 64}])
def test_pca_is_said_to_have_no_more_numbers_than_pixels(run: Run, folder: RunFolder, recorded: dict[str, int]) -> None:
    (event,) = [e for e in run.pictures if (e.dataset, e.purpose) == ("mnist", "reconstruction")]
    facts = {**run.datasets["mnist"], "shape": [1, 8, 8]}
    event = dataclasses.replace(event, latent_dim=100, **recorded)
    run = dataclasses.replace(run, pictures=(event,), datasets={**run.datasets, "mnist": facts})
    (drawing,) = pictures(run, folder, "mnist", "reconstruction")
    assert "from 100 numbers an image and PCA's from 64." in drawing.alternative


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 24), (2, 5, 5)])
def test_pictures_of_any_shape_are_shown_pixel_by_pixel(shape: tuple[int, int, int]) -> None:
    clean = np.random.default_rng(0).random((4, *shape))
    noisy = (clean + 0.1)[None]
    arrays = {"original": clean, "noisy": noisy, "linear_mmse": noisy, "denoised": clean[None]}
    figure = denoising_grid("n", "mnist", arrays, 0, 0.04).figure
    images = figure.axes[0].images
    assert len(images) == 4 * 4
    assert {image.get_array().shape[:2] for image in images} == {shape[1:]}
    # Every picture keeps its proportions and none covers another.
    extents = [np.abs(image.get_extent()) for image in images]
    assert {round((right - left) / (bottom - top), 6) for left, right, bottom, top in extents} == {
        round(shape[2] / shape[1], 6)
    }
    assert len({(left, top) for left, _, _, top in extents}) == 16
    labels = [text.get_text() for text in texts(figure)]
    assert labels == ["Clean", "Noisy\n20.0 dB", "Linear MMSE\n20.0 dB", "Network\ninf dB"]
