"""Options that every method has, and options of methods with mini-batches."""

from typing import Annotated, Literal

from pydantic import Field

from nrc.networks.activations import nonlinear
from nrc.options import Options, Requirement, equal, given

__all__ = ["FirstOrderOptions", "Float32Until", "LearningRate", "MethodOptions", "SingleStartOptions"]

LearningRate = Annotated[float, Field(gt=0, description="step size at the beginning of training")]

Float32Until = Annotated[
    float | None,
    Field(
        gt=0,
        description="relative residual until which a run in float64 computes in float32, for at most half of "
        "its epochs; null for never",
    ),
]


class MethodOptions(Options):
    """Options of a method of training."""

    def check(self, epochs: int, points: int | None) -> None:
        """Check the options against the budget and the number of points.

        Parameters
        ----------
        epochs : int
        points : int or None
            None if it is not known before the data are read.

        Raises
        ------
        ValueError
            Beginning with the option's name.
        """


class SingleStartOptions(MethodOptions):
    """Options of a method that can begin in float32."""

    float32_until: Float32Until = None


class FirstOrderOptions(MethodOptions):
    """Options of a method that takes gradients on mini-batches."""

    # a linear autoencoder trains on points of the same second moments, as few as features
    requires = (
        Requirement(
            {"network.activation": nonlinear},
            when={"batch": given, "task": equal("autoencode"), "network.bias": equal(False)},
        ),
    )

    learning_rate: LearningRate
    batch: int | None = Field(None, ge=1, description="points of a mini-batch, or null for all points")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="learning rate during training; cosine takes it to 0 in the last epoch"
    )

    def check(self, epochs: int, points: int | None) -> None:
        if self.batch is not None and points is not None and self.batch > points:
            raise ValueError(f"batch is {self.batch}, but must be at most {points}, the number of points")
