"""Minima and saddles, by the smallest eigenvalue of the Hessian of each regularised loss."""

import warnings
from collections.abc import Callable
from enum import IntEnum
from functools import partial

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse.linalg import LinearOperator, lobpcg
from torch import Tensor

from nrc.metadata import describe, flag_attributes
from nrc.networks.activations import ACTIVATIONS, smooth
from nrc.objectives.hessian import Hessian
from nrc.objectives.module_loss import RegularisedModuleLoss, twice_differentiable
from nrc.objectives.penalties import ridge
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.optimize.kfac import KFAC
from nrc.options import Options as BaseOptions
from nrc.options import Requirement, equal, positive
from nrc.random_streams import Stream, generator

__all__ = ["Extremum", "Options", "curvature", "dense_hessian", "smallest_dense", "smallest_found"]

Array = NDArray[np.float64]
Loss = RegularisedLoss | RegularisedModuleLoss

# Share of s_1 above which a singular value is not 0 up to the residual.
NONZERO = 1e-5


class Options(BaseOptions):
    """Whether minima are distinguished from saddles."""

    requires = (
        Requirement(
            {
                "network.activation": smooth,
                "training.penalty": ridge,
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
    """The kind of an end point, if the error of the curvature allows a decision.

    Examples
    --------
    >>> Extremum(1).name
    'SADDLE'
    """

    MINIMUM = 0
    SADDLE = 1
    UNDETERMINED = 2


# Up to this number of parameters the dense Hessian costs no more than the search, and is certain.
DENSE = 2000
# Numbers in the features of all copies of a cell that are multiplied at a time, to fit into caches.
BLOCK = 2**20
# The search ends at a residual of this share of weight decay, or after this number of iterations.
ACCURACY, ITERATIONS = 1e-4, 3000

ABOUT = {
    "curvature": {
        "long_name": "smallest eigenvalue of the Hessian of the loss with weight decay",
        "comment": "at the end point, which is stationary to its residual; missing where the cell diverged",
    },
    "curvature_error": {"long_name": "error of curvature, rounding included"},
    "extremum": {
        "long_name": "kind of the end point, by curvature",
        "comment": "for a point that is not stationary, because the cell stopped, only the sign counts",
        **flag_attributes(Extremum),
    },
}


def curvature(objective: Loss, theta: Tensor) -> xr.Dataset:
    """Smallest eigenvalue of the Hessian at the end point of each cell, its error, and the kind of point.

    The point is a minimum if the eigenvalue is positive by more than its error, a saddle if it is negative by
    more than its error, and undetermined otherwise. This is a statement about the Hessian at theta. Training
    ends at a residual r that is not 0: the minimum near a point of positive curvature is about
    ||r|| / curvature away, and the error does not include the change of the Hessian on the way there.

    Points with flat directions are undetermined. Linear networks have flat directions by symmetry: Q W_l and
    W_{l+1} Q' give the same network with the same penalty for any rotation Q. Tanh networks have none because
    only changes of sign and order leave them unchanged.

    Parameters
    ----------
    objective : RegularisedLoss or RegularisedModuleLoss
        In float64, with weight decay above 0 on the factors and a smooth activation.
    theta : Tensor
        (cells, parameters)

    Examples
    --------
    >>> architecture = nrc.networks.mlp.Architecture((1, 1), "linear")
    >>> x, decay = torch.tensor([[[2.0]]]).double(), torch.tensor([0.5]).double()
    >>> objective = RegularisedLoss(architecture, x, x, decay)    # (2w - 2)^2 / 2 + 0.5 w^2 / 2
    >>> found = curvature(objective, torch.full((1, 1), 4 / 4.5).double())
    >>> found["curvature"].item(), Extremum(found["extremum"].item()).name
    (4.5, 'MINIMUM')
    """
    smallest = smallest_dense if theta.shape[1] <= DENSE else smallest_found
    with twice_differentiable():
        value, error = np.array([smallest(objective, theta, cell) for cell in range(len(theta))]).T
    if isinstance(objective, RegularisedLoss):
        of = objective.architecture
        if ACTIVATIONS[of.activation].linear and len(of.shapes) > 1:
            error += _flat_error(objective, theta)
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


def _flat_error(objective: RegularisedLoss, theta: Tensor) -> Array:
    """Error of the eigenvalue 0 of a linear network's flat directions at a point with residual r, (cells,).

    The rotation exp(A) also rotates the gradient, so H A Theta = A r, and ||A Theta|| is at least ||A|| times
    the smallest nonzero singular value of the layers. The error is ||r|| over that value.
    """
    s = torch.cat([torch.linalg.svdvals(w) for w in objective.network(theta).weights], dim=1)
    smallest = torch.where(s > NONZERO * s.amax(1, keepdim=True), s, torch.inf).amin(1)
    error: Array = (objective.at(theta).gradient.norm(dim=1) / smallest).numpy()
    return error


def smallest_dense(objective: Loss, theta: Tensor, cell: int) -> tuple[float, float]:
    """The smallest eigenvalue of a cell's Hessian and its error, from all entries of the Hessian.

    Examples
    --------
    >>> architecture = nrc.networks.mlp.Architecture((1, 1), "linear")
    >>> x, decay = torch.tensor([[[2.0]]]).double(), torch.tensor([0.5]).double()
    >>> objective = RegularisedLoss(architecture, x, x, decay)    # (2w - 2)^2 / 2 + 0.5 w^2 / 2
    >>> value, error = smallest_dense(objective, torch.zeros(1, 1).double(), 0)
    >>> value, error < 1e-12
    (4.5, True)
    """
    eigenvalues = torch.linalg.eigvalsh(dense_hessian(objective, theta, cell))
    return float(eigenvalues[0]), _rounding(theta, float(eigenvalues.abs().max()))


def dense_hessian(objective: Loss, theta: Tensor, cell: int) -> Tensor:
    """A cell's Hessian, (parameters, parameters), from products with unit vectors.

    Examples
    --------
    >>> architecture = nrc.networks.mlp.Architecture((1, 1), "linear")
    >>> x, decay = torch.tensor([[[2.0]]]).double(), torch.tensor([0.5]).double()
    >>> objective = RegularisedLoss(architecture, x, x, decay)    # (2w - 2)^2 / 2 + 0.5 w^2 / 2
    >>> dense_hessian(objective, torch.zeros(1, 1).double(), 0).tolist()
    [[4.5]]
    """
    parameters = theta.shape[1]
    copies = 1  # torch modules are evaluated one after the other
    if isinstance(objective, RegularisedLoss):
        numbers = objective.x.shape[1] * sum(objective.architecture.sizes)
        copies = min(parameters, max(1, BLOCK // numbers))
    cells = torch.full((copies,), cell)
    hessian = _hessian(objective.select(cells), theta[cells])
    # the last block is padded with zero vectors
    unit = torch.eye(-(-parameters // copies) * copies, parameters, dtype=theta.dtype)
    return torch.cat([hessian(vectors) for vectors in torch.split(unit, copies)])[:parameters]


def smallest_found(objective: Loss, theta: Tensor, cell: int) -> tuple[float, float]:
    """The smallest eigenvalue of a cell's Hessian found by iteration, and its error.

    The method is LOBPCG (Knyazev 2001) from a random vector with K-FAC as the preconditioner; Lanczos' method
    without a preconditioner takes ten times as many products. Torch modules have none. The value is a
    Rayleigh quotient v'Hv and so an upper bound on the smallest eigenvalue, and an eigenvalue is within the
    residual ||Hv - (v'Hv) v|| of it. That it is the smallest one relies on the random vector: a saddle is
    proven, and a minimum is not.
    """
    one = torch.tensor([cell])
    objective, theta = objective.select(one), theta[one]
    hessian, inverse = _operator(_hessian(objective, theta), theta), None
    if isinstance(objective, RegularisedLoss):
        inverse = _operator(partial(KFAC.times, objective, KFAC.at(objective, theta)), theta)
    start = generator(0, Stream.EIGENVALUE_SEARCH).standard_normal((theta.shape[1], 1))
    tolerance = ACCURACY * float(objective.weight_decay)
    with warnings.catch_warnings():
        # the error includes a missed tolerance
        warnings.simplefilter("ignore", UserWarning)
        largest, _ = lobpcg(hessian, start, maxiter=20)
        _, v = lobpcg(hessian, start, M=inverse, tol=tolerance, maxiter=ITERATIONS, largest=False)
    v = v[:, 0] / np.linalg.norm(v)
    product = hessian @ v
    value = v @ product
    residual = np.linalg.norm(product - value * v)
    return float(value), float(residual) + _rounding(theta, max(largest[0], abs(value)))


def _hessian(objective: Loss, theta: Tensor) -> Callable[[Tensor], Tensor]:
    return Hessian(objective, theta) if isinstance(objective, RegularisedLoss) else objective.hessian(theta)


def _operator(product: Callable[[Tensor], Tensor], like: Tensor) -> LinearOperator:
    """The product of one cell with vectors as an operator of scipy."""
    size = like.shape[1]

    def of_array(v: Array) -> Array:
        return product(torch.from_numpy(v.reshape(1, size).copy())).numpy().reshape(v.shape)

    return LinearOperator((size, size), matvec=of_array, matmat=of_array, dtype=np.float64)


def _rounding(theta: Tensor, size: float) -> float:
    """A bound on the effect of rounding on an eigenvalue of a matrix of this norm, n eps times the norm."""
    return theta.shape[1] * torch.finfo(theta.dtype).eps * size
