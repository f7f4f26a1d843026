"""What the options of every method have, and the options of methods with mini-batches."""

from typing import Annotated, Literal

from pydantic import Field

from nrc.options import Options

__all__ = ["FirstOrderOptions", "LearningRate", "MethodOptions"]

LearningRate = Annotated[float, Field(gt=0, description="step size at the beginning of training")]


class MethodOptions(Options):
    """Options of a method of training."""


class FirstOrderOptions(MethodOptions):
    """Options of a method that takes gradients on mini-batches."""

    learning_rate: LearningRate
    batch: int | None = Field(None, ge=1, description="points of a mini-batch, or null for all points")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="learning rate during training; cosine takes it to 0 in the last epoch"
    )
