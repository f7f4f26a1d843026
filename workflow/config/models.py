"""Models of the configuration: its sections, and in them the options of every kind in `nrc`."""

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
from nrc.claims.options import ClaimOptions
from nrc.figures.options import FigureStyle
from nrc.grid import AXES, spaced

__all__ = ["BRANCH", "NAME", "Configuration", "Experiment"]

# Begins the parts of an error's path that are branches of a union; no YAML file has this character.
BRANCH = "\0"
# A name of an entry.
NAME = "^[A-Za-z][A-Za-z0-9_]*$"


class Section(BaseModel):
    """A mapping that allows its own keys only."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, validate_default=True, defer_build=True
    )


# ---- entries of a kind


@dataclass(frozen=True)
class OfKind:
    """Marks the type of a mapping whose key `by` names its kind, a module of a package of `nrc`."""

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
class OfMeasures:
    """Marks the type of the choices in what is measured, the options of all modules of `nrc.measures`."""

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        options = tuple(kinds.options("measures", name) for name in kinds.names("measures"))
        return handler(create_model("measures", __base__=options, __doc__="Choices in what is measured."))


# ---- values that have one of several types


def _branch_of_type(value: Any) -> str | None:
    types = {str: "text", list: "list", dict: "mapping", BaseModel: "mapping"}
    return next((BRANCH + name for type_, name in types.items() if isinstance(value, type_)), None)


Text, Values, Mapped = (Tag(BRANCH + name) for name in ("text", "list", "mapping"))
BY_TYPE = Discriminator(_branch_of_type)


def _different(values: list[Hashable]) -> list[Hashable]:
    if len(set(values)) < len(values):
        raise ValueError("must be a list of values that are all different")
    return values


# ---- the grid


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
        limits = {"ge": axis.least, "le": axis.most} if self.name == "seed" else {"ge": axis.least}
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
            AfterValidator(_different),
        ]
        union = Annotated[several, Values] | Annotated[range_, Mapped]
        return handler(Annotated[union, BY_TYPE, AfterValidator(partial(_listed, number))])


def _listed(number: type, given: list[float] | Range) -> list[float]:
    if isinstance(given, list):
        return given
    values = spaced(given.start, given.stop, given.count, given.scale)
    # whole numbers may coincide after rounding
    return list(dict.fromkeys(number(round(value) if number is int else value) for value in values))


class Grid(Section):
    """Values of every axis; there is a network for every combination."""

    weight_decay: Annotated[list[float], Axis("weight_decay", (0.1,))] = Field(
        description="weight decay lambda, with the loss a mean over points"
    )
    sigma: Annotated[list[float], Axis("sigma", (0.1,))] | None = Field(
        None,
        description="standard deviation of the noise in every direction; if null, it is [0], except on a "
        "mixture",
    )
    width: Annotated[list[int], Axis("width", (20,))] = Field(description="width of the hidden layers")
    depth: Annotated[list[int], Axis("depth", (4,))] = Field(description="number of weight matrices")
    seed: Annotated[list[int], Axis("seed", (0, 1, 2))] = Field(
        [0], description="seed of the data, of the initial weights and of the order of mini-batches"
    )


# ---- experiments


class Continuation(Section):
    """Networks that start from the trained networks of the neighbouring value of an axis."""

    along: Literal["sigma", "weight_decay"] = Field(
        description="axis along which networks continue; it is not in stack, so that each value is a job"
    )
    direction: Literal["up", "down"] = Field(
        description="up continues from the next smaller value of the grid, down from the next larger one"
    )


class Training(Section):
    """Full-batch or in mini-batches, until a network is stationary or its budget is spent."""

    warm_start: (
        Annotated[
            Annotated[str, Text, Field(title="the name of an experiment")] | Annotated[Continuation, Mapped],
            BY_TYPE,
        ]
        | None
    ) = Field(
        None,
        description="experiment whose trained networks these start from, cell by cell, or null for initial "
        "weights; its data, task, network and stack are the same, and its grid has every cell of this one. "
        "Or {along, direction}: each network starts from the trained network of the next value of an axis, "
        "the first from initial weights",
    )
    method: Annotated[Any, OfKind("optimize", "name")] | None = Field(
        None, description="method of training; if null, it is varpro where varpro can be used, else lbfgs"
    )
    tolerance: float = Field(
        1e-6, gt=0, description="a network has converged, and stops, at this relative residual"
    )
    epochs: int = Field(
        20_000,
        ge=1,
        description="budget of a network in epochs, each an evaluation of the full data; a line search that "
        "has begun is finished",
    )
    snapshot_every: int | None = Field(
        None,
        ge=1,
        description="epochs between two snapshots of singular values and class WCSS, or null for none; the "
        "snapshots of an experiment that continues another one follow the snapshots of that experiment",
    )
    loss_on: Literal["data", "centroids"] = Field(
        "data", description="data, or centroids for the loss on the centroids of the clusters (eq. 8, k = 0)"
    )
    penalty: Literal["factors", "product"] = Field(
        "factors",
        description="weight decay on the factors W_l, or on the product of a linear network (Section 5)",
    )
    precision: Literal["float64", "float32", "tf32"] = Field(
        "float64",
        description="floating-point type; tf32 is float32 with products that a GPU may round to ten bits",
    )


class Experiment(Section):
    """A grid of networks on one data set."""

    data: str = Field(title="the name of an entry of data", description="name of the data set")
    task: Literal["autoencode", "classify", "regress"] = Field(
        "autoencode",
        description="what the networks learn: their input, its class (one-hot), or the y of the data",
    )
    network: Annotated[Any, OfKind("networks", default="mlp")] = Field({}, description="kind of network")
    loss: Literal["squared_error", "cross_entropy"] | None = Field(
        None,
        description="its mean over points; squared_error is (1/2) ||f(x) - y||^2. If null, it is "
        "cross_entropy for the task classify, else squared_error",
    )
    grid: Grid
    training: Training = Field(default_factory=lambda: Training.model_validate({}))
    stack: Annotated[list[Literal["weight_decay", "sigma", "seed"]], AfterValidator(_different)] = Field(
        ["weight_decay", "sigma"],
        description="axes along which the networks of one job extend",
        json_schema_extra={"uniqueItems": True},
    )
    measures: Annotated[Any, OfMeasures()] = Field(
        {}, description="choices in what is measured, where they differ from the choices for all experiments"
    )


# ---- the file


def _not_taken(name: str) -> str:
    if name in ("data", "figures", "logs", "benchmarks"):
        raise ValueError("results/ has another folder of this name")
    return name


Name = Annotated[str, Field(pattern=NAME)]


class Figures(BaseModel):
    """Figures by name, and under style the defaults of all figures."""

    model_config = ConfigDict(extra="allow", validate_default=True, defer_build=True)

    style: FigureStyle = Field(
        default_factory=lambda: FigureStyle.model_validate({}), description="defaults of all figures"
    )
    __pydantic_extra__: dict[Name, Annotated[Any, OfKind("figures")]] = Field(init=False)


class Claims(BaseModel):
    """Claims by name, each with limits set before the data were seen, and the level of all claims."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)

    level: float = ClaimOptions.model_fields["level"]  # type: ignore[assignment]
    __pydantic_extra__: dict[Name, Annotated[Any, OfKind("claims.statistics", "statistic")]] = Field(
        init=False
    )


class Configuration(Section):
    """Configuration of the pipeline."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where networks are trained; auto is a GPU if torch finds one, else the CPU"
    )
    checkpoint_interval: float = Field(
        60, ge=0, description="seconds between two checkpoints of a training job; changes no result"
    )
    measures: Annotated[Any, OfMeasures()] = Field(
        {}, description="choices in what is measured, for every experiment that does not override them"
    )
    data: dict[Name, Annotated[Any, OfKind("data")]] = Field(description="data sets, by name")
    experiments: dict[Annotated[Name, AfterValidator(_not_taken)], Experiment] = Field(
        description="grids of networks, by name"
    )
    figures: Figures = Field(default_factory=lambda: Figures())
    claims: Claims = Field(default_factory=lambda: Claims())
