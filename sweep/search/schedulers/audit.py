"""Which stopped trials are trained to their end all the same, out of competition, to tell what stopping early cost.

Each trial is drawn or not before it is trained, with the same probability and whatever it will measure. Those of the
drawn ones that ASHA stops are therefore a random sample of all that it stops.
"""

from __future__ import annotations

import random

from aesweep.study.schema import Stage


def is_drawn(stage: Stage, seed: str, trial: str) -> bool:
    """Returns whether a trial goes on out of competition where ASHA stops it.

    Args:
        stage: the stage's settings.
        seed: text from which everything random of the stage follows.
        trial: the trial's id.
    """
    share = None if stage.asha == "none" else stage.asha.audit
    return share is not None and random.Random(f"{seed}/audit/{trial}").random() < share  # noqa: S311 - not for secrets
