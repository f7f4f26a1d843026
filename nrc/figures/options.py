"""Options that every kind of figure has."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from nrc.objectives.penalties import ridge
from nrc.option_types import At, ColourMap, Experiments, TitledExperiments
from nrc.options import Options, Requirement, both, equal, one_value, positive, several_values

__all__ = ["FigureOptions", "FigureStyle", "SweepOptions", "by_title", "one_architecture"]

# A plane of sigma and weight decay has one architecture.
one_architecture = Requirement({"grid.width": one_value, "grid.depth": one_value})


def by_title(of: Mapping[str, str] | list[str]) -> dict[str, str]:
    """The experiments of a figure by their titles; without titles, by their own names.

    Examples
    --------
    >>> by_title({"sweep up": "sweep_up"}), by_title(["width", "mnist"])
    ({'sweep up': 'sweep_up'}, {'width': 'width', 'mnist': 'mnist'})
    """
    return {name: name for name in of} if isinstance(of, list) else dict(of)


class FigureStyle(Options):
    """Options that a figure takes from the style of all figures, unless the figure or its kind sets them."""

    colour_map: ColourMap = "viridis"
    dpi: int = Field(300, ge=50, le=1200, description="resolution of the PNG, dots per inch")


class FigureOptions(FigureStyle):
    """Options of a kind of figure.

    Attributes
    ----------
    cube : {"measures", "shift"}
        Which results of an experiment are drawn.
    titles : mapping
        What each experiment of a figure with fixed titles must be; empty of other figures.
    """

    cube: ClassVar[Literal["measures", "shift"]] = "measures"
    titles: ClassVar[Mapping[str, Requirement]] = {}

    of: Experiments
    at: At = Field(default_factory=At, description="values of axes to take, where the grid has more")

    @field_validator("of")
    @classmethod
    def _with_titles(cls, of: Any) -> Any:
        if cls.titles and set(of) != set(cls.titles):
            raise ValueError(f"must have an experiment for each of {', '.join(cls.titles)}")
        return of


class SweepOptions(FigureOptions):
    """Options of figures of networks that are continued along sigma, upwards and downwards."""

    requires = (
        one_architecture,
        Requirement(
            {
                "network.kind": equal("mlp"),
                "task": equal("autoencode"),
                "network.bias": equal(False),
                "training.loss_on": equal("data"),
                "training.penalty": ridge,
                "grid.sigma": both(several_values(2), positive),
                "grid.weight_decay": positive,
            }
        ),
    )
    # from initial weights, from the neighbour of less noise, and from the neighbour of more noise
    titles: ClassVar[Mapping[str, Requirement]] = {
        "random start": Requirement({"training.warm_start": equal(None)}),
        "sweep up": Requirement({"training.warm_start": equal({"along": "sigma", "direction": "up"})}),
        "sweep down": Requirement({"training.warm_start": equal({"along": "sigma", "direction": "down"})}),
    }

    of: TitledExperiments = Field(  # type: ignore[assignment]
        description="experiments of the same networks with different warm starts: {random start: ..., "
        "sweep up: ..., sweep down: ...}"
    )
    layer: int | None = Field(
        None, ge=1, description="layer whose relative distance to rank K counts, or null for the middle one"
    )
    apart: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="relative distance at which a network leaves rank K and two branches differ",
    )
