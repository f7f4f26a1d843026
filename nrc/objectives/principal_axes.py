"""Inputs in their principal axes, of which there may be far fewer than features."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from nrc.networks.mlp import by_features
from nrc.networks.workspace import Workspace
from nrc.objectives.regularised_loss import RegularisedLoss

__all__ = ["Rotation"]

# A principal axis is left out if the extent of the points along it is less than this share of the largest.
FLAT = 1e-12


@dataclass(frozen=True)
class Rotation:
    """Principal axes of the inputs of a loss: the columns of U, with x = U U' x for every point.

    A network with weights W_1 U on inputs U' x has the outputs of the network with W_1 on x. The regularised
    loss has the same stationary points in both coordinates, because at each of them weight decay leaves the
    rows of W_1 in the span of the points.

    Attributes
    ----------
    axes : Tensor, optional
        U, (cells, n_0, rank); a first axis of 1 if all cells share it. A cell whose points span less has
        columns of 0, and other bits than alone, because products of other sizes round otherwise. If None, the
        coordinates stay as they are.

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

    axes: Tensor | None

    @classmethod
    def of(cls, loss: RegularisedLoss) -> Self:
        """The principal axes of the weighted points."""
        weighted = loss.x if loss.shares is None else loss.shares.sqrt()[:, :, None] * loss.x
        _, extents, axes = torch.linalg.svd(weighted, full_matrices=False)
        spanned = extents > FLAT * extents[:, :1]
        rank = int(spanned.sum(1).max())
        return cls((axes * spanned[:, :, None])[:, :rank].mT)

    def rotate(self, loss: RegularisedLoss) -> RegularisedLoss:
        """The loss of the rotated networks."""
        if self.axes is None:
            return loss
        architecture = replace(loss.architecture, sizes=(self.axes.shape[2], *loss.architecture.sizes[1:]))
        x = by_features(loss.x @ self.axes)
        return replace(loss, architecture=architecture, x=x, workspace=Workspace(), principal_axes=True)

    def into(self, loss: RegularisedLoss, theta: Tensor) -> Tensor:
        """The rotated parameters of the networks of a loss."""
        return theta if self.axes is None else _turned(loss, theta, self.axes)

    def back(self, rotated: RegularisedLoss, theta: Tensor) -> Tensor:
        """The parameters of the networks that have rotated parameters theta."""
        return theta if self.axes is None else _turned(rotated, theta, self.axes.mT)


def _turned(loss: RegularisedLoss, theta: Tensor, by: Tensor) -> Tensor:
    network = loss.network(theta)
    weights = [network.weights[0] @ by, *network.weights[1:]]
    return loss.architecture.join(weights, network.biases or ())
