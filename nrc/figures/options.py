"""What the options of every kind of figure have."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from nrc.fields import At, ColourMap, Experiments
from nrc.options import Options, Requirement, one_value

__all__ = ["FigureOptions", "FigureStyle", "one_architecture"]

# A plane of sigma and weight decay has one architecture.
one_architecture = Requirement({"grid.width": one_value, "grid.depth": one_value})


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
            raise ValueError(f"must give an experiment to each of {', '.join(cls.titles)}")
        return of
