"""What the options of every statistic have, the claim that is judged by it among them."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

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

    @model_validator(mode="after")
    def _check_limits(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("at_least and at_most are both null, but one of them must be a number")
        if None not in (self.at_least, self.at_most) and self.at_least > self.at_most:  # type: ignore[operator]
            raise ValueError(
                f"at_least is {self.at_least}, but must be at most at_most, which is {self.at_most}"
            )
        return self


class NumberOptions(ClaimOptions):
    """Options of a claim about a number at each weight decay."""

    weight_decays: Literal["all", "largest"] = Field(
        "all", description="weight decays at which the claim must hold; the others are reported only"
    )


class OrderOptions(ClaimOptions):
    """Options of a claim about the order of numbers with weight decay."""

    order: ClassVar[bool] = True

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if None not in (self.at_least, self.at_most):
            raise ValueError(
                "at_least and at_most are both given, but an order falls or rises; keep at_most, from -1 to "
                "0, or at_least, from 0 to 1"
            )
        for limit, value, low, high in (("at_least", self.at_least, 0, 1), ("at_most", self.at_most, -1, 0)):
            if value is not None and not low <= value <= high:
                raise ValueError(
                    f"{limit} is {value}, but must be from {low} to {high}, as the correlation with weight "
                    f"decay of what {'rises' if low == 0 else 'falls'}"
                )
        return self
