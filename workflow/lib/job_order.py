"""The order of the jobs of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

from nrc.grid import Stack
from workflow.config.compatibility import cube_of, names_of
from workflow.config.counterparts import centroid_counterparts

__all__ = ["experiment_order", "job_priority"]


def experiment_order(settings: Mapping[str, Any]) -> list[str]:
    """The experiments of the figures, in the order in which the configuration has the figures.

    Jobs of the first experiments get the highest priority, so that the first figures come first.
    """
    needed = []
    for figure in settings["figures"].values():
        for name in names_of(figure["of"]):
            needed.append(name)
            if cube_of("figures", figure) == "shift":
                needed += centroid_counterparts(name, settings["experiments"])
    return list(dict.fromkeys(needed))


def job_priority(order: Sequence[str], experiment: str, stack: Stack | None = None) -> float:
    """The priority of a job of an experiment, between whole numbers if it is one of its stacks.

    The largest stacks of an experiment come first, because a run would wait for a large one that comes last.

    Examples
    --------
    >>> axes = {"weight_decay": 0.1, "sigma": 0.5, "width": 8, "seed": 0}
    >>> shallow, deep = Stack({**axes, "depth": 2}), Stack({**axes, "depth": 4})
    >>> order = ["first", "second"]
    >>> [job_priority(order, "first", shallow), job_priority(order, "first", deep)]
    [2.08, 2.09]
    >>> [job_priority(order, "second"), job_priority(order, "of no figure"), job_priority([], "any", deep)]
    [1, 0, 0.09]
    """
    first = len(order) - order.index(experiment) if experiment in order else 0
    if stack is None:
        return first
    weights = len(stack) * stack.depth * stack.width**2
    return first + weights.bit_length() / 100
