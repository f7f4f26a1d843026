"""Inputs in their principal axes, of which there may be far fewer than features."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from nrc.networks.mlp import Scratch, by_features
from nrc.regularised_loss import RegularisedLoss

__all__ = ["Rotated", "Rotation", "Unturned"]

# A principal axis along which points extend less than this, over the largest extent, is none.
FLAT = 1e-12


class Rotated(RegularisedLoss):
    """A loss whose inputs' second moments sum_i p_i x_i x_i' are diagonal.

    Examples
    --------
    >>> from nrc.networks.mlp import Architecture
    >>> x = torch.tensor([[[1.0, 1.0], [2.0, 2.0], [-3.0, -3.0]]], dtype=torch.float64)
    >>> loss = RegularisedLoss(Architecture((2, 1)), x, x[:, :, :1], weight_decay=x.new_ones(1))
    >>> rotated = Rotation.of(loss).rotate(loss)
    >>> round((rotated.x.mT @ rotated.x).item(), 6)  # their squared lengths
    28.0
    """


@dataclass(frozen=True)
class Rotation:
    """Principal axes of the inputs of a loss: the columns of U, of which x = U U' x for every point.

    With U' x for x and W_1 U for W_1 a network has the same outputs, and the regularised loss the same
    stationary points: there the rows of W_1 lie in the span of the points, for weight decay leaves
    nothing else.

    Attributes
    ----------
    axes : Tensor
        U, (cells, n_0, rank); a first axis of 1 where all cells share them. A cell whose points span less
        has columns of 0, and other bits than alone: products of other sizes round otherwise.

    Examples
    --------
    Points on a line, with one principal axis:

    >>> from nrc.networks.mlp import Architecture
    >>> x = torch.tensor([[[1.0, 1.0], [2.0, 2.0], [-3.0, -3.0]]], dtype=torch.float64)
    >>> loss = RegularisedLoss(Architecture((2, 1)), x, x[:, :, :1], weight_decay=x.new_ones(1))
    >>> rotation = Rotation.of(loss)
    >>> rotated, theta = rotation.rotate(loss), torch.tensor([[0.3, 0.3]], dtype=torch.float64)
    >>> rotated.architecture.sizes
    (1, 1)
    >>> torch.allclose(rotated.at(rotation.into(loss, theta)).value, loss.at(theta).value)
    True
    >>> torch.allclose(rotation.back(rotated, rotation.into(loss, theta)), theta)
    True
    """

    axes: Tensor

    @classmethod
    def of(cls, loss: RegularisedLoss) -> Self:
        """The principal axes of the weighted points."""
        weighted = loss.x if loss.shares is None else loss.shares.sqrt()[:, :, None] * loss.x
        _, extents, axes = torch.linalg.svd(weighted, full_matrices=False)
        spanned = extents > FLAT * extents[:, :1]
        rank = int(spanned.sum(1).max())
        return cls((axes * spanned[:, :, None])[:, :rank].mT)

    def rotate(self, loss: RegularisedLoss) -> Rotated:
        """The loss of the rotated networks."""
        architecture = replace(loss.architecture, sizes=(self.axes.shape[2], *loss.architecture.sizes[1:]))
        x = by_features(loss.x @ self.axes)
        return Rotated(**{**vars(loss), "architecture": architecture, "x": x, "scratch": Scratch()})

    def into(self, loss: RegularisedLoss, theta: Tensor) -> Tensor:
        """The rotated parameters of the networks of a loss."""
        return self._turn(loss, theta, self.axes)

    def back(self, rotated: Rotated, theta: Tensor) -> Tensor:
        """The parameters of the networks whose rotated parameters these are."""
        return self._turn(rotated, theta, self.axes.mT)

    def _turn(self, loss: RegularisedLoss, theta: Tensor, by: Tensor) -> Tensor:
        network = loss.network(theta)
        weights = [network.weights[0] @ by, *network.weights[1:]]
        return loss.architecture.join(weights, network.biases or ())


class Unturned:
    """The coordinates as they are.

    Examples
    --------
    >>> from nrc.networks.mlp import Architecture
    >>> x = torch.ones(1, 3, 2)
    >>> loss = RegularisedLoss(Architecture((2, 1)), x, x[:, :, :1], weight_decay=torch.ones(1))
    >>> Unturned().rotate(loss) is loss
    True
    """

    def rotate(self, loss: RegularisedLoss) -> RegularisedLoss:
        return loss

    def into(self, loss: RegularisedLoss, theta: Tensor) -> Tensor:
        return theta

    def back(self, loss: RegularisedLoss, theta: Tensor) -> Tensor:
        return theta
