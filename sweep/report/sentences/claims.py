"""Published claims, checked against this run's numbers."""

from __future__ import annotations

import itertools

import pandas as pd

from aesweep.process.wording import agree, plural
from aesweep.report.markdown import axis_value, listing, number
from aesweep.report.published import Published
from aesweep.report.rows import Run, Stage
from aesweep.report.sentences.chance import Chance, chance_of
from aesweep.report.sentences.rules import OVERFITTING_GAP, gap_of, gap_text, is_better, is_known
from aesweep.report.tables import QUANTITY

HOLDS, FAILS, WITHIN_CHANCE = "Holds", "Does not hold", "Within chance"
# Those that the claim on regularization names; a run may try more.
PUBLISHED_REGULARIZERS = ("l1", "l2", "l1_l2", "dropout")


def published_claims(
    run: Run, frames: dict[tuple[str, str], pd.DataFrame], published: Published
) -> list[tuple[str, str, str]]:
    """Each published claim with the verdict of each data set.

    Args:
        run: the run.
        frames: (stage, data set) to its cell table.
        published: the reference.

    Returns:
        (claim, data set, verdict and its ground) for every claim that the run can speak of; else (claim, "", so).
    """
    found = []
    for claim in published.claims:
        kind, check = CLAIMS.get(claim, (None, None))
        verdicts = []
        for (name, dataset), frame in frames.items():
            stage = run.stages[name]
            verdict = check(stage, frame, chance_of(run, stage, dataset)) if stage.kind == kind else None
            if verdict is not None:
                verdicts.append((claim, dataset, f"{verdict[0]}: {verdict[1]}."))
        found += verdicts or [(claim, "", "This run has nothing to check it by.")]
    return found


def _verdict(for_it: list[bool], decided: list[bool]) -> str:
    """On a claim about several pairs of numbers.

    Args:
        for_it: whether each pair speaks for the claim.
        decided: whether each pair differs by more than chance.
    """
    if any(known and not speaks for speaks, known in zip(for_it, decided, strict=True)):
        return FAILS
    return HOLDS if all(decided) else WITHIN_CHANCE


def _depth(stage: Stage, frame: pd.DataFrame, chance: Chance) -> tuple[str, str] | None:
    if {stage.rows, stage.columns} != {"hidden_layers", "latent_dim"}:
        return None
    # The source counts the encoder's hidden layers and the code.
    depth = frame["columns" if stage.columns == "hidden_layers" else "rows"].map(len) + 1
    sign = 1.0 if stage.mode == "min" else -1.0
    best = (sign * frame["value"].astype(float)).groupby([frame["latent_dim"], depth]).min().unstack()
    if 3 not in best or 5 not in best:
        return None
    both = sign * best[[3, 5]].dropna()
    if both.empty:
        return None
    pairs = list(zip(both[3], both[5], strict=True))
    wins = [is_better(stage.mode, three, five) for three, five in pairs]
    decided = [chance.decides(three, five) for three, five in pairs]
    text = f"3 layers beat 5 at {sum(wins)} of {plural(len(both), 'latent dimension')}, on validation images"
    if not all(decided):
        text += f"; within chance at {decided.count(False)} of them ({chance.text})"
    return _verdict(wins, decided), text


def _regularization(stage: Stage, frame: pd.DataFrame, chance: Chance) -> tuple[str, str] | None:
    known = frame.dropna(subset="value")
    none, others = known[known["regularizer"] == "none"], known[known["regularizer"].isin(PUBLISHED_REGULARIZERS)]
    if none.empty or others.empty or stage.columns:
        return None
    plain, quantity = float(none["value"].iloc[0]), QUANTITY[stage.metric]
    values = {axis_value("regularizer", line["regularizer"]): float(line["value"]) for _, line in others.iterrows()}
    wins = [not is_better(stage.mode, value, plain) for value in values.values()]
    decided = [chance.decides(plain, value) for value in values.values()]
    verdict = _verdict(wins, decided)
    better = [name for name, win in zip(values, wins, strict=True) if not win]
    near = [name for name, known in zip(values, decided, strict=True) if not known]
    if better:
        against = [f"{name} ({number(values[name], quantity)} against {number(plain, quantity)})" for name in better]
        text = f"better than none on validation images: {listing(against)}"
    else:
        text = f"the best value on validation images is that without one; tried were {listing(list(values))}"
    if near:
        text += f"; {listing(near)} {agree(len(near), 'differs', 'differ')} from none by no more than chance "
        text += f"({chance.text})"
    return verdict, text


def _noise(stage: Stage, frame: pd.DataFrame, chance: Chance) -> tuple[str, str] | None:
    known = frame.dropna(subset="validation_psnr_db").sort_values("noise_variance")
    if len(known) < 2 or stage.columns:
        return None
    values = list(known["validation_psnr_db"])
    pairs = list(itertools.pairwise(values))
    psnr = chance if chance.quantity == "psnr_db" else Chance("psnr_db", None)
    decided = [psnr.decides(first, second) for first, second in pairs]
    text = f"{listing([f'{value:.2f}' for value in values])} dB as the noise rises, on validation images"
    if not all(decided):
        text += f"; {psnr.text}"
    return _verdict([second < first for first, second in pairs], decided), text


def _overfitting(stage: Stage, frame: pd.DataFrame, _: Chance) -> tuple[str, str] | None:
    best = frame[frame["is_best"]]
    if best.empty:
        return None
    line = best.iloc[0]
    if is_known(line["test_mse"]):
        training, other, split = line["retrained_training_mse"], line["test_mse"], "test"
    else:
        training, other, split = line["training_mse"], line["validation_mse"], "validation"
    if not is_known(training) or not is_known(other):
        return None
    gap = gap_of(training, other)
    holds = other == 0 if gap is None else gap <= OVERFITTING_GAP
    return HOLDS if holds else FAILS, f"the winner's {gap_text(training, other, split)}"


# The claims of jobs/published_numbers.yaml, word for word: the kind of stage that can speak of each, and how.
CLAIMS = {
    "three hidden layers beat five on both datasets": ("architecture", _depth),
    "no regularization beats L1, L2, L1 + L2 and dropout": ("regularization", _regularization),
    "lower noise gives higher PSNR": ("denoising", _noise),
    "no overfitting is seen": ("architecture", _overfitting),
}
