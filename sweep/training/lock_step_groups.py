"""Which members of a pack go in lock-step with which, so that their stacks last while some sit epochs out."""

from __future__ import annotations

from aesweep.training.engine.member import Member
from aesweep.training.engine.stack import Stack


def next_group(all_active: list[Member], waiting: list[Member], size: int, least_share: float) -> list[Member]:
    """Returns the members of the stack that is to be trained next.

    Members are divided into groups of as many as may go in lock-step. The division does not depend on who is to be
    trained now, so that the groups' stacks last. Where too few of their groups are to be trained, members form new
    groups.

    Args:
        all_active: the pack's active members.
        waiting: those of them that are still to be trained in this epoch; at least one.
        size: how many members may go in lock-step.
        least_share: which share of a group must be waiting.
    """
    still = set(waiting)
    for start in range(0, len(all_active), size):
        group = all_active[start : start + size]
        num_present = len(still.intersection(group))
        if num_present and num_present >= least_share * len(group):
            return group
    return waiting[:size]


def leave_stacks(stacks: dict[tuple[str, ...], Stack], names: tuple[str, ...]) -> set[str]:
    """Drops the stacks of members that are to form a new one.

    Args:
        stacks: stacks by the names of their members; those that have any of `names` are removed.
        names: names of the members that are to form a new stack.

    Returns:
        The names of the other members of the stacks that were dropped.
    """
    dropped = [other for other in stacks if not set(names).isdisjoint(other)]
    for other in dropped:
        del stacks[other]
    return {name for other in dropped for name in other}.difference(names)
