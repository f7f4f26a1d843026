"""Requirements of kinds and choices, compared with an experiment."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from nrc.objectives.penalties import PENALTIES
from nrc.options import Requirement, equal, without
from workflow.config.words import NOTHING, value_at

__all__ = ["CHOICES", "Unmet", "unmet"]

# What the choices of an experiment require that are not options of a kind.
CHOICES = (
    Requirement({"task": equal("classify")}, when={"loss": equal("cross_entropy")}),
    *(
        Requirement(penalty.needs, when={"training.penalty": equal(name)})
        for name, penalty in PENALTIES.items()
    ),
    *(
        Requirement(
            {"stack": without(axis), "training.snapshot_every": equal(None)},
            when={"training.warm_start.along": equal(axis)},
        )
        for axis in ("sigma", "weight_decay")
    ),
)


class Unmet(NamedTuple):
    """A condition that an experiment does not meet.

    Attributes
    ----------
    choice : str or None
        The key of the choice that requires it, None if its kind does.
    key : str
        The key of the experiment.
    value : object
        Its value.
    needed : str
        What it must be, in words.
    """

    choice: str | None
    key: str
    value: Any
    needed: str


def unmet(requirements: Iterable[Requirement], entry: Mapping[str, Any], experiment: Any) -> Iterator[Unmet]:
    """Conditions that an experiment does not meet.

    Parameters
    ----------
    requirements : iterable of Requirement
    entry : mapping
        The entry that chooses; keys of `when` that it does not have are taken from the experiment.
    experiment : mapping
        A key that the experiment does not have, as another kind of network may, meets its condition.
    """
    for requirement in requirements:
        chosen = {key: value_at(entry, key) for key in requirement.when}
        chosen = {key: value_at(experiment, key) if v is NOTHING else v for key, v in chosen.items()}
        if not all(v is not NOTHING and requirement.when[key].holds(v) for key, v in chosen.items()):
            continue
        for key, condition in requirement.needs.items():
            value = value_at(experiment, key)
            if value is not NOTHING and not condition.holds(value):
                yield Unmet(next(iter(chosen), None), key, value, condition.words)
