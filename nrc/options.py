"""How a kind declares its options, and what it requires of an experiment.

A kind of data, network, method, figure or statistic is one module with a class `Options`. The
configuration's checks, its defaults, its JSON schema and the reference page all follow from that class.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from nrc.text import written

__all__ = [
    "Condition",
    "HomePath",
    "KeyOf",
    "Options",
    "Requirement",
    "at_least",
    "both",
    "equal",
    "given",
    "one_of",
    "one_value",
    "other_than",
    "positive",
    "several_values",
    "without",
]

# A path in which ~ at its beginning is the home directory.
HomePath = Annotated[str, AfterValidator(lambda path: str(Path(path).expanduser()))]


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
    """The value equals this value.

    Examples
    --------
    >>> equal("factors").holds("product")
    False
    """
    return Condition(written(value), lambda found: bool(found == value))


def other_than(value: Any) -> Condition:
    """The value differs from this value."""
    return Condition(f"other than {written(value)}", lambda found: bool(found != value))


def one_of(*values: Any) -> Condition:
    """The value is one of these values.

    Examples
    --------
    >>> one_of("tanh", "linear").words, one_of("factors").words
    ('one of tanh, linear', 'factors')
    """
    words = ", ".join(map(written, values))
    return Condition(words if len(values) == 1 else f"one of {words}", lambda found: found in values)


def at_least(smallest: float) -> Condition:
    """The value is a number that is not smaller."""
    return Condition(f"at least {smallest}", lambda found: bool(found >= smallest))


def several_values(count: int) -> Condition:
    """An axis has this many values or more."""
    return Condition(f"{count} or more values", lambda found: len(found) >= count)


def without(value: Any) -> Condition:
    """A list does not have this entry."""
    return Condition(f"without {written(value)}", lambda found: value not in found)


def both(first: Condition, second: Condition) -> Condition:
    """Both conditions hold.

    Examples
    --------
    >>> both(several_values(2), positive).words
    '2 or more values, greater than 0'
    """
    return Condition(
        f"{first.words}, {second.words}", lambda found: first.holds(found) and second.holds(found)
    )


given = Condition("given", lambda found: found is not None)
one_value = Condition("one value", lambda found: len(found) == 1)
positive = Condition("greater than 0", lambda found: all(value > 0 for value in found))


@dataclass(frozen=True)
class KeyOf:
    """Marks the type of an option whose value is a key of a table.

    Examples
    --------
    >>> from typing import Annotated
    >>> from pydantic import TypeAdapter
    >>> TypeAdapter(Annotated[str, KeyOf({"tanh": 0})]).validate_python("tanh")
    'tanh'
    """

    table: Iterable[str]

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.literal_schema(list(self.table))


@dataclass(frozen=True)
class Requirement:
    """What a choice requires of an experiment: where all of `when` holds, all of `needs` must hold.

    Attributes
    ----------
    needs : mapping
        Conditions by dotted keys of the experiment, such as ``grid.width``.
    when : mapping
        Conditions by dotted keys of the entry that chooses, or of the experiment if the entry has no such
        key; none if the requirement always holds.

    Examples
    --------
    >>> Requirement({"grid.width": one_value}, when={"along": equal("depth")}).needs["grid.width"].words
    'one value'
    """

    needs: Mapping[str, Condition]
    when: Mapping[str, Condition] = field(default_factory=dict)


class Options(BaseModel):
    """Options of a kind: typed fields, each with a description, its limits and its default.

    The docstring of a subclass is the description of the kind.

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

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        defer_build=True,
    )

    requires: ClassVar[tuple[Requirement, ...]] = ()

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> Self:
        """Options by their names.

        Raises
        ------
        ValueError
            In one line, with the first option that is unknown, missing or not allowed.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            key, kind = ".".join(map(str, first["loc"])), first["type"]
            must = first["msg"].removeprefix("Value error, ").replace("Input should", "must", 1)
            if kind in ("missing", "extra_forbidden"):
                fault = f"{key} is missing" if kind == "missing" else f"there is no option {key}"
            else:
                fault = f"{key} is {first['input']!r}, but {must}" if key else must
            raise ValueError(fault) from None
