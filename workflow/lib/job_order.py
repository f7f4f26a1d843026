"""The order of the jobs of a run."""

from collections.abc import Mapping
from typing import Any

from workflow.config.compatibility import cube_of, names_of
from workflow.config.counterparts import centroid_counterparts

__all__ = ["experiment_order"]


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
