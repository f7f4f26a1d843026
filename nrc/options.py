"""How a kind declares its options, and what it requires of an experiment.

A kind of data, network, method, figure or statistic is one module with a class `Options`. The
configuration's checks, its defaults, its JSON schema and the reference page all follow from that class.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

__all__ = [
    "Condition",
    "Options",
    "Requirement",
    "equal",
    "one_of",
    "one_value",
    "positive",
    "several_values",
    "without",
]


@dataclass(frozen=True)
class Condition:
    """A condition on a value of the configuration.

    Attributes
    ----------
    words : str
        What the value must be, in words, for a message.
    holds : callable
        Whether a value is as it must be.

    Examples
    --------
    >>> one_of("tanh", "linear").words
    'one of tanh, linear'
    >>> positive.holds([0.1, 0.0])
    False
    """

    words: str
    holds: Callable[[Any], bool] = field(repr=False)


def equal(value: Any) -> Condition:
    """The value is this one.

    Examples
    --------
    >>> equal("factors").holds("product")
    False
    """
    words = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return Condition(words, lambda given: bool(given == value))


def one_of(*values: Any) -> Condition:
    """The value is one of these."""
    return Condition(f"one of {', '.join(map(str, values))}", lambda given: given in values)


def several_values(count: int) -> Condition:
    """An axis has at least so many values."""
    return Condition(f"{count} or more values", lambda given: len(given) >= count)


def without(value: Any) -> Condition:
    """A list does not have this entry."""
    return Condition(f"without {value}", lambda given: value not in given)


one_value = Condition("one value", lambda given: len(given) == 1)
positive = Condition("greater than 0", lambda given: all(value > 0 for value in given))


@dataclass(frozen=True)
class Requirement:
    """What a choice requires of an experiment: where all of `when` holds, all of `needs` must hold.

    Attributes
    ----------
    needs : mapping
        Conditions by dotted keys of the experiment, such as ``grid.width``.
    when : mapping
        Conditions by dotted keys of the entry that chooses; none if it always holds.

    Examples
    --------
    >>> Requirement({"grid.width": one_value}, when={"along": equal("depth")}).needs["grid.width"].words
    'one value'
    """

    needs: Mapping[str, Condition]
    when: Mapping[str, Condition] = field(default_factory=dict)


class Options(BaseModel):
    """Options of a kind: typed fields, each with a description, its limits and its default.

    Attributes
    ----------
    requires : sequence of Requirement
        What the kind requires of the experiment that uses it.

    Examples
    --------
    >>> from pydantic import Field
    >>> class Momentum(Options):
    ...     step: float = Field(0.1, gt=0, description="length of a step")
    >>> Momentum().step
    0.1
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    requires: ClassVar[tuple[Requirement, ...]] = ()
