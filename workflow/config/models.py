"""Models of the configuration: its sections, and in them the options of every kind in `nrc`."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from nrc.claims.options import ClaimOptions
from nrc.figures.options import FigureStyle
from nrc.objectives.penalties import PENALTIES
from nrc.options import KeyOf
from workflow.config.field_types import BY_TYPE, Axis, Mapped, OfKind, OptionsOf, Section, Text, different

__all__ = ["NAME", "Configuration", "Experiment"]

# A name of an entry.
NAME = "^[A-Za-z][A-Za-z0-9_]*$"
MEASURES = "Choices in what is measured."


class Grid(Section):
    """Values of every axis; there is a network for every combination."""

    weight_decay: Annotated[list[float], Axis("weight_decay", (0.1,))] = Field(
        description="weight decay lambda, with the loss a mean over points"
    )
    sigma: Annotated[list[float], Axis("sigma", (0.1,))] | None = Field(
        None,
        description="standard deviation of the noise in every direction; if null, it is [0] where the kind "
        "of data allows that",
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
        description="up continues from the next smaller value of the grid, down from the next larger value"
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
        description="experiment whose trained networks training starts from, cell by cell, or null for "
        "initial weights; its data, task, network and stack are the same, and its grid has every cell of "
        "this grid. Or {along, direction}: each network starts from the trained network of the next value of "
        "an axis, the first from initial weights",
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
    penalty: Annotated[str, KeyOf(PENALTIES)] = Field(
        "factors",
        description="; ".join(f"{name}: {penalty.about}" for name, penalty in PENALTIES.items()),
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
    network: Annotated[Any, OfKind("networks", default="mlp")] = Field(
        {}, description="kind of network, mlp if it is not given, and its options"
    )
    loss: Literal["squared_error", "cross_entropy"] | None = Field(
        None,
        description="loss of a point; squared_error is (1/2) ||f(x) - y||^2. If null, it is "
        "cross_entropy for the task classify, else squared_error",
    )
    grid: Grid
    training: Training = Field(default_factory=lambda: Training.model_validate({}))
    stack: Annotated[list[Literal["weight_decay", "sigma", "seed"]], AfterValidator(different)] = Field(
        ["weight_decay", "sigma"],
        description="axes along which the networks of one job extend",
        json_schema_extra={"uniqueItems": True},
    )
    measures: Annotated[Any, OptionsOf("measures", MEASURES)] = Field(
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
    """Claims by name, each with its statistic and its limits, and the level of all claims."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False, defer_build=True)

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
    measures: Annotated[Any, OptionsOf("measures", MEASURES)] = Field(
        {}, description="choices in what is measured, for every experiment that does not override them"
    )
    data: dict[Name, Annotated[Any, OfKind("data")]] = Field(description="data sets, by name")
    experiments: dict[Annotated[Name, AfterValidator(_not_taken)], Experiment] = Field(
        description="grids of networks, by name"
    )
    figures: Figures = Field(default_factory=lambda: Figures())
    claims: Claims = Field(default_factory=lambda: Claims())
