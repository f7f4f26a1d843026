"""Options that every statistic has, among them the claim that it judges."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from nrc.option_types import At, Experiments
from nrc.options import Options

__all__ = ["SOURCES", "ClaimOptions", "NumberOptions", "OrderOptions"]

# titles of the tables of claims, by their source
SOURCES = {"paper": "Claims of the paper", "ours": "Claims of this project", "check": "Checks"}


class ClaimOptions(Options):
    """Options of a claim by any statistic.

    Attributes
    ----------
    cube : {"measures", "shift"}
        Which results of an experiment have what the statistic takes.
    variables : sequence of str
        Variables of the results that the statistic takes.
    """

    cube: ClassVar[Literal["measures", "shift"]] = "measures"
    variables: ClassVar[tuple[str, ...]]

    of: Experiments
    at: At = Field(default_factory=At, description="values of axes to take, where the grid has more")
    statement: str = Field(description="the claim, in words")
    source: Literal["paper", "ours", "check"] = Field(
        "ours",
        description="who makes the claim; a check is a statement that follows from theory, which only a "
        "fault of training or of measures could contradict",
    )
    section: str | None = Field(None, description="where the paper makes this or a similar claim, or null")
    level: float = Field(
        0.95,
        gt=0,
        lt=1,
        description="level of intervals over seeds; a part is decided if its chance is at most 1 - level",
    )

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if self.source == "paper" and self.section is None:
            raise ValueError("section must be the section of the paper, because source is paper")
        return self


class NumberOptions(ClaimOptions):
    """Options of a claim about numbers, for example one at each weight decay."""

    at_least: float | None = Field(
        None, description="smallest value of the statistic that supports the claim, or null"
    )
    at_most: float | None = Field(
        None, description="largest value of the statistic that supports the claim, or null"
    )
    weight_decays: Literal["all", "largest"] = Field(
        "all", description="weight decays at which the claim must hold; the others are reported only"
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


class OrderOptions(ClaimOptions):
    """Options of a claim about the order of numbers with weight decay."""

    trend: Literal["falls", "rises"] = Field(description="order of the numbers as weight decay grows")
