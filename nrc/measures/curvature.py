"""Minimum or saddle: the smallest eigenvalue of the Hessian of each regularised loss, with its error."""

import warnings
from collections.abc import Callable
from enum import IntEnum

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse.linalg import LinearOperator, lobpcg
from torch import Tensor

from nrc.metadata import describe, flag_attributes
from nrc.networks.activations import ACTIVATIONS
from nrc.networks.options import smooth
from nrc.objectives.hessian import Hessian
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.optimize.kfac import KFAC
from nrc.options import Options as BaseOptions
from nrc.options import Requirement, equal, positive
from nrc.random_streams import Stream, generator
from nrc.theory.spectra import EXACT

__all__ = ["Extremum", "Options", "curvature", "dense_hessian", "smallest_dense", "smallest_found"]

Array = NDArray[np.float64]


class Options(BaseOptions):
    """Whether minima are told from saddles."""

    requires = (
        Requirement(
            {
                "network.activation": smooth,
                "training.penalty": equal("factors"),
                "grid.weight_decay": positive,
            },
            when={"curvature": equal(True)},
        ),
    )

    curvature: bool = Field(
        False,
        description="whether to distinguish minima from saddles, by the smallest eigenvalue of the Hessian; "
        "this costs more than most trainings",
    )


class Extremum(IntEnum):
    """What an end point is, as far as curvature tells beyond its error.

    Examples
    --------
    >>> Extremum(1).name
    'SADDLE'
    """

    MINIMUM = 0
    SADDLE = 1
    UNDETERMINED = 2


# Up to so many parameters the dense Hessian costs no more than the search, and leaves no eigenvalue out.
DENSE = 2000
# Numbers of the features of all copies of a cell that take products at a time: what caches hold.
BLOCK = 2**20
# The search ends at a residual of this share of weight decay, or after so many iterations.
ACCURACY, ITERATIONS = 1e-4, 3000

ABOUT = {
    "curvature": {
        "long_name": "smallest eigenvalue of the Hessian of the loss with weight decay",
        "comment": "at the end point, which is stationary to its residual; missing where the cell diverged",
    },
    "curvature_error": {"long_name": "error of curvature, rounding included"},
    "extremum": {
        "long_name": "what the end point is, by curvature",
        "comment": "a point that is not stationary, where the cell stopped, is neither: there the sign alone",
        **flag_attributes(Extremum),
    },
}


def curvature(objective: RegularisedLoss, theta: Tensor) -> xr.Dataset:
    """Smallest eigenvalue of the Hessian at the end point of every cell, its error, and what that makes it.

    The point is a minimum where the eigenvalue is positive by more than its error, a saddle where it is
    negative by more, and else undetermined. That is a statement on the Hessian at theta. Training ends
    at a residual r, not at 0: the minimum that a positive curvature promises is about ||r|| / curvature
    away, and the error knows nothing of how the Hessian changes on the way.

    Undetermined are points with flat directions. Linear networks have them by symmetry: Q W_l and
    W_{l+1} Q' are the same network at the same penalty, for every rotation Q. Tanh networks have none,
    for of the rotations only changes of sign and order leave them as they are.

    Parameters
    ----------
    objective : RegularisedLoss
        In float64, with weight decay above 0 on the factors and a smooth activation.
    theta : Tensor
        (cells, parameters)

    Examples
    --------
    >>> architecture = nrc.networks.mlp.Architecture((1, 1), "linear")
    >>> x, decay = torch.tensor([[[2.0]]]).double(), torch.tensor([0.5]).double()
    >>> objective = RegularisedLoss(architecture, x, x, decay)    # (2w - 2)^2 / 2 + 0.5 w^2 / 2
    >>> found = curvature(objective, torch.full((1, 1), 4 / 4.5).double())
    >>> round(found["curvature"].item(), 6), Extremum(found["extremum"].item()).name
    (4.5, 'MINIMUM')
    """
    smallest = smallest_dense if theta.shape[1] <= DENSE else smallest_found
    value, error = np.array([smallest(objective, theta, cell) for cell in range(len(theta))]).T
    if ACTIVATIONS[objective.architecture.activation].linear and len(objective.architecture.shapes) > 1:
        error += _left_of_flat(objective, theta)
    kind = np.select(
        [value > error, value < -error], [Extremum.MINIMUM, Extremum.SADDLE], Extremum.UNDETERMINED
    )
    dataset = xr.Dataset(
        {
            "curvature": ("cell", value),
            "curvature_error": ("cell", error),
            "extremum": ("cell", kind.astype(np.int8)),
        }
    )
    return describe(dataset, **ABOUT)


def _left_of_flat(objective: RegularisedLoss, theta: Tensor) -> Array:
    """What a residual r leaves of the eigenvalue 0 of a linear network's flat directions, (cells,).

    Turning by exp(A) turns the gradient too, so H A Theta = A r, and ||A Theta|| is at least the smallest
    singular value of the layers that is not 0, times what A turns of it: ||r|| over that value.
    """
    s = torch.cat([torch.linalg.svdvals(w) for w in objective.network(theta).weights], dim=1)
    least = torch.where(s > EXACT * s.amax(1, keepdim=True), s, torch.inf).amin(1)
    left: Array = (objective.at(theta).gradient.norm(dim=1) / least).numpy()
    return left


def smallest_dense(objective: RegularisedLoss, theta: Tensor, cell: int) -> tuple[float, float]:
    """The smallest eigenvalue of a cell's Hessian and its error, from all of its entries.

    Examples
    --------
    >>> architecture = nrc.networks.mlp.Architecture((1, 1), "linear")
    >>> x, decay = torch.tensor([[[2.0]]]).double(), torch.tensor([0.5]).double()
    >>> objective = RegularisedLoss(architecture, x, x, decay)    # (2w - 2)^2 / 2 + 0.5 w^2 / 2
    >>> value, error = smallest_dense(objective, torch.zeros(1, 1).double(), 0)
    >>> round(value, 6), error < 1e-12
    (4.5, True)
    """
    eigenvalues = torch.linalg.eigvalsh(dense_hessian(objective, theta, cell))
    return float(eigenvalues[0]), _rounding(theta, float(eigenvalues.abs().max()))


def dense_hessian(objective: RegularisedLoss, theta: Tensor, cell: int) -> Tensor:
    """A cell's Hessian, (parameters, parameters), by products of copies of the cell with unit vectors.

    Examples
    --------
    >>> architecture = nrc.networks.mlp.Architecture((1, 1), "linear")
    >>> x, decay = torch.tensor([[[2.0]]]).double(), torch.tensor([0.5]).double()
    >>> objective = RegularisedLoss(architecture, x, x, decay)    # (2w - 2)^2 / 2 + 0.5 w^2 / 2
    >>> dense_hessian(objective, torch.zeros(1, 1).double(), 0).tolist()
    [[4.5]]
    """
    parameters = theta.shape[1]
    copies = min(parameters, max(1, BLOCK // (objective.x.shape[1] * sum(objective.architecture.sizes))))
    cells = torch.full((copies,), cell)
    hessian = Hessian(objective.select(cells), theta[cells])
    # the last vectors of the last block are 0
    unit = torch.eye(-(-parameters // copies) * copies, parameters, dtype=theta.dtype)
    return torch.cat([hessian(some) for some in torch.split(unit, copies)])[:parameters]


def smallest_found(objective: RegularisedLoss, theta: Tensor, cell: int) -> tuple[float, float]:
    """The smallest eigenvalue of a cell's Hessian that a search finds, and the error.

    LOBPCG (Knyazev 2001) from a random vector, with K-FAC for a preconditioner: Lanczos' method, which
    has none, takes ten times as many products. The value is a Rayleigh quotient v'Hv, so the smallest
    eigenvalue is at most that, and within the residual ||Hv - (v'Hv) v|| there is an eigenvalue. That it
    is the smallest rests on the random vector. So a saddle is proven, and a minimum is one as far as the
    search sees.
    """
    one = torch.tensor([cell])
    objective, theta = objective.select(one), theta[one]
    hessian, inverse = (_operator(of(objective, theta), theta) for of in (Hessian, KFAC))
    start = generator(0, Stream.EIGENVALUE_SEARCH).standard_normal((theta.shape[1], 1))
    tolerance = ACCURACY * float(objective.weight_decay)
    with warnings.catch_warnings():
        # what it has not reached is in the error
        warnings.simplefilter("ignore", UserWarning)
        largest, _ = lobpcg(hessian, start, maxiter=20)
        _, v = lobpcg(hessian, start, M=inverse, tol=tolerance, maxiter=ITERATIONS, largest=False)
    v = v[:, 0] / np.linalg.norm(v)
    product = hessian @ v
    value = v @ product
    residual = np.linalg.norm(product - value * v)
    return float(value), float(residual) + _rounding(theta, max(largest[0], abs(value)))


def _operator(product: Callable[[Tensor], Tensor], like: Tensor) -> LinearOperator:
    """Products of one cell with a vector, for scipy."""
    size = like.shape[1]

    def of_array(v: Array) -> Array:
        return product(torch.from_numpy(v.reshape(1, size).copy())).numpy().reshape(v.shape)

    return LinearOperator((size, size), matvec=of_array, matmat=of_array, dtype=np.float64)


def _rounding(theta: Tensor, size: float) -> float:
    """What rounding moves an eigenvalue of a matrix of this norm by, at most: n eps times the norm."""
    return theta.shape[1] * torch.finfo(theta.dtype).eps * size
