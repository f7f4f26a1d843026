"""What the options of every statistic have, the claim that is judged by it among them."""

from typing import ClassVar, Literal

from pydantic import Field

from nrc.fields import At, Experiments
from nrc.options import Options

__all__ = ["ClaimOptions", "NumberOptions", "OrderOptions"]


class ClaimOptions(Options):
    """Options of a claim by any statistic.

    Attributes
    ----------
    cube : {"measures", "shift"}
        Which results of an experiment have what the statistic takes.
    order : bool
        Whether the claim is about the order of the numbers with weight decay, or about each of them.
    variables : sequence of str
        Variables of the results that the statistic takes.
    """

    cube: ClassVar[Literal["measures", "shift"]] = "measures"
    order: ClassVar[bool] = False
    variables: ClassVar[tuple[str, ...]]

    of: Experiments
    at: At = Field(default_factory=At, description="values of axes to take, where the grid has more")
    statement: str = Field(description="the claim, in words")
    at_least: float | None = Field(
        None, description="smallest value of the statistic that supports the claim, or null"
    )
    at_most: float | None = Field(
        None, description="largest value of the statistic that supports the claim, or null"
    )
    level: float = Field(
        0.95,
        gt=0,
        lt=1,
        description="level of intervals over seeds; an order is decided if its chance is at most 1 - level",
    )


class NumberOptions(ClaimOptions):
    """Options of a claim about a number at each weight decay."""

    weight_decays: Literal["all", "largest"] = Field(
        "all", description="weight decays at which the claim must hold; the others are reported only"
    )


class OrderOptions(ClaimOptions):
    """Options of a claim about the order of numbers with weight decay."""

    order: ClassVar[bool] = True
