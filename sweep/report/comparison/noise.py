"""By which spread the difference of two cells is judged: how far it could come from seeds alone.

A cell's value is the best of several trials, often with one seed each, and a run's seed decides more than the training:
it splits off the validation images and draws the configurations. Bouthillier et al., Accounting for variance in machine
learning benchmarks (MLSys 2021), measured all of these sources; leaving one out finds differences where there are none.
So what is judged depends on what the two studies share.

**The same seed, the same validation images.** Both searches draw the same configurations and validate on the same
images; what is left to chance is the training. In this order:

1. Both winners have several seeds: Welch's test over them, for this cell alone.
2. Some trials of the stage have several seeds: their spread within a trial, pooled over all trials of both runs that
   were trained to the end.
3. Only the retrainings have several seeds: their spread within a configuration, pooled over both runs, for models of
   the same kind (denoisers or plain). With one seed a cell alone has no interval, so this one is borrowed: it assumes
   that a search's trials spread as retrainings do, relative to their size.
4. Otherwise nothing can be said.

Groups of one run have the same seeds, so they may go up and down together: in 2 and 3 a run's groups have no more
degrees of freedom than one group with all of its seeds.

The spread is that of ln MSE (of PSNR in dB), since large errors spread more than small ones. Selection lowers the mean
of a winner, not the spread over its seeds; being the best of several draws even makes a value less variable. Where both
runs choose among equally many trials the two means are lowered alike; where they do not, the page says so (Cawley and
Talbot, On over-fitting in model selection and subsequent selection bias in performance evaluation, JMLR 11, 2010), and
only the test errors of the retrained winners are free of it.

**Another seed, or other validation images.** Now seeds of training explain only a part. What a new seed of the study
moves can be seen in the table itself: if nothing else differs, each cell's difference is one draw of it. A cell is
judged by the root mean square of the other cells' differences, which includes the split, the draws and the training.
This finds a cell that stands out. It cannot find a shift of all cells, which other validation images cause as well;
the test errors, which all runs measure on the same images, can. It assumes that the cells of a table vary alike.

**Not paired by seed.** Two runs with the same seeds could be compared seed by seed. This pays only if results of one
seed move together, and they do not once anything in the training differs, since small differences grow until the seed
explains nothing of the result; n - 1 degrees of freedom in place of up to 2n - 2 are a sure loss. Where seeds do agree
in both runs and move together, the unpaired test is too careful, never too bold.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator

from aesweep.report.analysis.significance import (
    Spread,
    TTest,
    around,
    pooled_spread,
    spread_of_others,
    welch,
    with_spread,
)
from aesweep.report.comparison.types import Basis
from aesweep.report.rows.types import Retraining, Run, Stage, Trial


@dataclasses.dataclass(frozen=True)
class Noise:
    """The spread behind the cells of a stage on a data set.

    Attributes:
        quantity: "mse" or "psnr_db".
        basis: where the spread comes from; `Basis.WELCH` is tried first for each cell where seeds are all that differs.
        spread: of a single value on the scale of `additive`; None for `Basis.CELLS` and `Basis.NONE`.
    """

    quantity: str
    basis: Basis
    spread: Spread | None = None

    def tests(self, pairs: list[tuple[Trial, Trial]], metric: str) -> list[tuple[TTest | None, Basis]]:
        """Returns a test for each pair of winners (of the reference, of the other run), in the quantity's unit."""
        values = [(first.value(metric), second.value(metric)) for first, second in pairs]
        scaled = [tuple(additive(value, self.quantity) for value in pair) for pair in values]
        differences = [None if None in pair else pair[1] - pair[0] for pair in scaled]
        return [self._test(pairs, values, differences, index) for index in range(len(pairs))]

    def _test(
        self,
        pairs: list[tuple[Trial, Trial]],
        values: list[tuple[float, float]],
        differences: list[float | None],
        index: int,
    ) -> tuple[TTest | None, Basis]:
        (first, second), (value, _), difference = pairs[index], values[index], differences[index]
        if self.basis is Basis.CELLS:
            known = [other for other in differences if other is not None]
            place = sum(other is not None for other in differences[:index])
            spread = None if difference is None else spread_of_others(known, place)
        else:
            if found := self._of_their_seeds(first, second, values[index]):
                return found, Basis.WELCH
            spread = self.spread
            if spread is not None:
                share = 1 / len(first.seeds) + 1 / len(second.seeds)
                spread = dataclasses.replace(spread, deviation=spread.deviation * math.sqrt(share))
        if spread is None or difference is None:
            return None, Basis.NONE
        return _in_unit(with_spread(difference, spread), value, self.quantity), self.basis

    def _of_their_seeds(self, first: Trial, second: Trial, values: tuple[float, float]) -> TTest | None:
        """Returns Welch's test over the seeds of two trials; None if either has fewer than two values."""
        if self.quantity == "mse":
            return welch(first.last.per_seed, second.last.per_seed)
        # The journal has the MSE of each seed, and PSNR as a mean over images: its spread is taken from the former.
        scaled = [[additive(mse, "psnr_of_mse") for mse in trial.last.per_seed] for trial in (first, second)]
        if any(None in side for side in scaled):
            return None
        found = welch(*scaled)
        return found and around(found, values[1] - values[0])


def noise_of(runs: tuple[Run, Run], stages: tuple[Stage, Stage], dataset: str, quantity: str, anew: bool) -> Noise:
    """Chooses the spread for a stage on a data set, as the module's docstring says.

    Args:
        runs: the reference and the other run.
        stages: the stage in each.
        dataset: the data set.
        quantity: "mse" or "psnr_db".
        anew: whether the two runs draw other configurations or validate on other images.
    """
    if anew:
        return Noise(quantity, Basis.CELLS)
    name = "mse" if quantity == "mse" else "psnr_of_mse"
    trials = [
        [trial for trial in stage.trials if trial.dataset == dataset and trial.status == "completed" and trial.last]
        for stage in stages
    ]
    every = [trial for side in trials for trial in side]
    groups = _scaled((trial.last.per_seed for trial in every), name)
    if spread := pooled_spread(groups, sum(_freedom(side) for side in trials)):
        return Noise(quantity, Basis.TRIALS, spread)
    denoises = {trial.configuration.noise_variance > 0 for trial in every}
    retrained = [_retrained(run, dataset, denoises) for run in runs]
    groups = _scaled((group for side in retrained for group in _values(side, quantity)), quantity)
    if spread := pooled_spread(groups, sum(_freedom([r.trial for r in side]) for side in retrained)):
        return Noise(quantity, Basis.RETRAININGS, spread)
    return Noise(quantity, Basis.NONE)


def additive(value: float | None, quantity: str) -> float | None:
    """Converts a value to a scale on which spreads are alike: ln of an MSE, dB of a PSNR; None if that is not finite.

    Args:
        value: the value.
        quantity: "mse", "psnr_db", or "psnr_of_mse" for an MSE that is to be dB.
    """
    if value is None or not math.isfinite(value):
        return None
    if quantity == "psnr_db":
        return value
    if value <= 0:
        return None
    return math.log(value) if quantity == "mse" else -10 * math.log10(value)


def _in_unit(test: TTest, reference: float, quantity: str) -> TTest:
    """Converts the interval of a difference of ln MSE to one of MSE, for the reference's value."""
    if quantity != "mse":
        return test
    low, high = (reference * math.expm1(min(end, 700.0)) for end in (test.low, test.high))
    return dataclasses.replace(test, low=low, high=high)


def _scaled(groups: Iterable[Iterable[float]], quantity: str) -> Iterator[list[float]]:
    for group in groups:
        values = [additive(value, quantity) for value in group]
        if None not in values:
            yield values


def _freedom(trials: Iterable[Trial]) -> int:
    """Returns the number of different seeds, less one."""
    return max(0, len({seed for trial in trials for seed in trial.seeds}) - 1)


def _retrained(run: Run, dataset: str, denoises: set[bool]) -> list[Retraining]:
    """Returns the retrainings that have a result and are of one of the kinds."""
    return [
        retraining
        for retraining in run.retrainings
        if retraining.trial.dataset == dataset
        and retraining.result
        and (retraining.trial.configuration.noise_variance > 0) in denoises
    ]


def _values(retrained: list[Retraining], quantity: str) -> list[list[float]]:
    """Returns the test values of each configuration."""
    groups: dict[tuple, list[float]] = {}
    for retraining in retrained:
        trial = retraining.trial
        value = getattr(retraining.result, f"test_{quantity}")
        groups.setdefault((trial.configuration, trial.budget), []).append(value)
    return list(groups.values())
