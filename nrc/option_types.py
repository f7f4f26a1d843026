"""Types of options that several kinds share, with their descriptions and limits."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, GetCoreSchemaHandler, with_config
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypedDict

from nrc.networks.activations import linear
from nrc.objectives.penalties import closed_form
from nrc.options import KeyOf, Requirement, equal
from nrc.theory.ranks import RANK_MEASURES

__all__ = [
    "RANK_LABELS",
    "At",
    "ColourMap",
    "Experiments",
    "NonNegative",
    "OneOrSeveral",
    "PositiveInteger",
    "Rank",
    "Ranks",
    "Saturation",
    "Seed",
    "TitledExperiments",
    "Variabilities",
    "Variability",
    "linear_autoencoders",
]


@dataclass(frozen=True)
class OneOrSeveral:
    """Marks a type of lists: a single item is a list of one, and no list is empty or has an item twice.

    Examples
    --------
    >>> from pydantic import TypeAdapter
    >>> TypeAdapter(Annotated[list[int], OneOrSeveral()]).validate_python(3)
    [3]
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        several = core_schema.list_schema(handler.generate_schema(get_args(source)[0]), min_length=1)
        one = handler.generate_schema(get_args(source)[0])
        return core_schema.no_info_before_validator_function(
            lambda value: value if isinstance(value, list | Mapping) or value is None else [value],
            core_schema.no_info_after_validator_function(_distinct, several),
            json_schema_input_schema=core_schema.union_schema([one, several]),
        )


def _distinct(values: list[Hashable]) -> list[Hashable]:
    if len(set(values)) < len(values):
        twice = next(value for value in values if values.count(value) > 1)
        raise ValueError(f"must not have {twice} twice")
    return values


# ---- values of the axes of a grid

NonNegative = Annotated[float, Field(ge=0, description="a number on the axis")]
PositiveInteger = Annotated[int, Field(ge=1, description="a whole number on the axis")]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1, description="a seed")]


@with_config(extra="forbid", strict=True, allow_inf_nan=False)
class At(TypedDict, total=False):
    """Values of axes to take, where the grid has more.

    Attributes
    ----------
    weight_decay, sigma, width, depth, seed : list
        A value of the axis, or a list of values.
    """

    weight_decay: Annotated[list[NonNegative], OneOrSeveral()]
    sigma: Annotated[list[NonNegative], OneOrSeveral()]
    width: Annotated[list[PositiveInteger], OneOrSeveral()]
    depth: Annotated[list[PositiveInteger], OneOrSeveral()]
    seed: Annotated[list[Seed], OneOrSeveral()]


# ---- experiments

Experiments = Annotated[
    list[str],
    OneOrSeveral(),
    Field(
        title="the name of an experiment, or a list of names",
        description="the experiment, or a list of experiments on the same data whose cells are joined",
    ),
]
TitledExperiments = dict[str, Annotated[str, Field(description="the name of an experiment")]]

# Only for these are there forecasts, and shifts from data to centroids.
linear_autoencoders = Requirement(
    {
        "network.kind": equal("mlp"),
        "task": equal("autoencode"),
        "network.activation": linear,
        "network.bias": equal(False),
        "training.loss_on": equal("data"),
        "training.penalty": closed_form,
    }
)

# ---- measures, by the names of their variables

Rank = Annotated[str, KeyOf(RANK_MEASURES)]
Ranks = Annotated[
    list[Rank], OneOrSeveral(), Field(description="a measure of rank, or a list of measures, a panel each")
]
RANK_LABELS = {name: measure.label for name, measure in RANK_MEASURES.items()}
# Within-class variability, with and without its scale.
Variability = Literal["wcss_class", "wcss_share", "nc1"]
Variabilities = Annotated[
    list[Variability],
    OneOrSeveral(),
    Field(description="a measure of variability, or a list of measures; only wcss_class has a scale"),
]

Saturation = Annotated[
    float,
    Field(
        gt=0,
        lt=1,
        description="slopes are fitted where the largest eigenvalue of the noise is at most this share of "
        "itself plus weight decay; they are then at least 2 (1 - saturation)",
    ),
]

ColourMap = Annotated[
    Literal["viridis", "cividis", "magma", "inferno", "plasma", "gray", "Blues"],
    Field(description="matplotlib colour map"),
]
