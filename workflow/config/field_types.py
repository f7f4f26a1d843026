"""Types of fields of the configuration: entries of a kind, axes, and unions by the type of a value."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    Tag,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from nrc import kinds
from nrc.grid import AXES, spaced

__all__ = ["BRANCH", "BY_TYPE", "Axis", "Mapped", "OfKind", "OptionsOf", "Section", "Text", "different"]

# Begins the parts of an error's path that are branches of a union; no YAML file has this character.
BRANCH = "\0"


class Section(BaseModel):
    """A mapping that allows its own keys only."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, validate_default=True, defer_build=True
    )


@dataclass(frozen=True)
class OfKind:
    """Marks the type of a mapping whose key `by` names its kind, a module of a package of `nrc`.

    A mapping without this key is of the default kind, if there is one.
    """

    package: str
    by: str = "kind"
    default: str | None = None

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices = {BRANCH + name: handler(self._model(name)) for name in kinds.names(self.package)}
        return core_schema.tagged_union_schema(choices, self._branch)

    def _branch(self, entry: Any) -> str | None:
        mapping = entry if isinstance(entry, Mapping) else vars(entry) if isinstance(entry, BaseModel) else {}
        name = mapping.get(self.by, self.default)
        return BRANCH + name if isinstance(name, str) else None

    def _model(self, name: str) -> type[BaseModel]:
        """The options of a kind, after the key that names it."""
        options = kinds.options(self.package, name)
        first: Any = create_model(self.by, **{self.by: (str, ...)})  # type: ignore[call-overload]
        tag: Any = (Literal[name], name if name == self.default else ...)
        title = f"{self.package} {name}"
        return create_model(title, __base__=(options, first), __doc__=options.__doc__, **{self.by: tag})


@dataclass(frozen=True)
class OptionsOf:
    """Marks the type of a mapping with the options of all modules of a package of `nrc` together."""

    package: str
    about: str

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        options = tuple(kinds.options(self.package, name) for name in kinds.names(self.package))
        return handler(create_model(self.package, __base__=options, __doc__=self.about))


# ---- values that have one of several types


def _branch_of_type(value: Any) -> str | None:
    types = {str: "text", list: "list", dict: "mapping", BaseModel: "mapping"}
    return next((BRANCH + name for type_, name in types.items() if isinstance(value, type_)), None)


Text, Values, Mapped = (Tag(BRANCH + name) for name in ("text", "list", "mapping"))
BY_TYPE = Discriminator(_branch_of_type)


def different(values: list[Hashable]) -> list[Hashable]:
    if len(set(values)) < len(values):
        raise ValueError("must be a list of values that are all different")
    return values


# ---- axes of the grid


class Range(Section):
    """A range of values, both ends included."""

    start: float = Field(alias="from")
    stop: float = Field(alias="to")
    count: int = Field(ge=2, le=100_000, description="number of values, both ends included")
    scale: Literal["log", "linear"] = Field("log", description="geometric or arithmetic spacing")

    @model_validator(mode="after")
    def _has_values(self) -> Self:
        if self.start >= self.stop:
            raise ValueError(f"from is {self.start!r}, but must be less than to, which is {self.stop!r}")
        if self.scale == "log" and self.start == 0:
            raise ValueError("from is 0, but must be greater than 0 on a log scale")
        return self


@dataclass(frozen=True)
class Axis:
    """Marks the type of the values of an axis: a list, or a range that becomes the list of its values."""

    name: str
    example: tuple[float, ...]

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        axis = AXES[self.name]
        number, scale = (int, "linear") if axis.integer else (float, "log")
        limits = {"ge": axis.smallest, "le": axis.largest} if self.name == "seed" else {"ge": axis.smallest}
        value: Any = Annotated[number, Field(**limits)]
        fields: dict[str, Any] = {
            "start": (value, Field(alias="from", description="the first value")),
            "stop": (value, Field(alias="to", description="the last value")),
            "scale": (Literal["log", "linear"], Field(scale, description="geometric or arithmetic spacing")),
        }
        range_: Any = create_model(f"range of {self.name}", __base__=Range, **fields)
        several: Any = Annotated[
            list[value],
            Field(min_length=1, examples=[list(self.example)], json_schema_extra={"uniqueItems": True}),
            AfterValidator(different),
        ]
        union = Annotated[several, Values] | Annotated[range_, Mapped]
        return handler(Annotated[union, BY_TYPE, AfterValidator(partial(_listed, number))])


def _listed(number: type, given: list[float] | Range) -> list[float]:
    if isinstance(given, list):
        return given
    values = spaced(given.start, given.stop, given.count, given.scale)
    # whole numbers may coincide after rounding
    return list(dict.fromkeys(number(round(value) if number is int else value) for value in values))
