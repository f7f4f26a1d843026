"""One network of one's own, measured: any torch module, on one's own data."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from nrc.arguments import (
    check_loss,
    check_mode,
    check_module,
    clusters_of,
    count,
    data_of,
    labels_of,
    leading,
    targets_of,
    weight_decay_of,
)
from nrc.measured_module import BATCH, Loss, MeasuredModule, layers_of, parameters_of, weights_of
from nrc.measures.coordinates import coordinates
from nrc.measures.network import measure as measure_networks
from nrc.measures.ranks import rank_measures
from nrc.metadata import provenance
from nrc.objectives.residual import relative_residual

__all__ = ["measure", "spectra"]

Array = NDArray[np.float64]

# Share of the largest singular value above which one counts for the numerical rank.
NUMERICAL = 1e-3


@torch.inference_mode(False)  # there are gradients, whatever the mode of who calls
def measure(
    model: nn.Module,
    x: ArrayLike | Tensor,
    y: ArrayLike | Tensor | None = None,
    *,
    labels: ArrayLike | Tensor | None = None,
    clusters: int | None = None,
    weight_decay: float | Mapping[str, float] = 0.0,
    loss: str | Loss = "cross_entropy",
    sources: str | Sequence[str] = "all",
    restarts: int = 10,
    batch: int | None = None,
    seed: int = 0,
    certified_ranks: int = 0,
    svd: str | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """Spectra and ranks of every layer, variability of every space, and how low a rank Theorem 3.4 certifies.

    What the pipeline measures on its networks, on any module. The loss is a mean over points, and weight
    decay lambda that of `torch.optim.SGD` and `Adam`, a penalty (lambda/2) ||W||^2: where training has ended,
    the gradient in each weight is -lambda W, and `residual` is 0. The decoupled decay of `AdamW` is no
    penalty: its end points are no stationary points of any loss, and `residual` is not small there.

    Parameters
    ----------
    model : Module
        In eval mode; it is left as it is. Its Linear, Conv1d, Conv2d and Conv3d layers are measured, and the
        projections of its MultiheadAttention: kernels unfolded to (outputs, inputs/groups * positions), tied
        weights once. On a CPU or a GPU; in float64 there, whatever its precision.
    x : array
        Inputs (points, ...). A memory-mapped array is read batch by batch.
    y : array, optional
        Targets (points, ...), as the loss takes them; classes (points,) or distributions over them for the
        cross-entropy. The labels if not given.
    labels : integer array, optional
        Known class of each point, 0, 1, ..., K-1. If not given: `y`, where it holds classes and `clusters`
        is not given.
    clusters : int, optional
        K, where there are no labels: what is about known classes is missing then.
    weight_decay : float or mapping
        lambda, or that of each parameter by its name in `named_parameters`, 0 for the others. Bounds are
        void, and missing, where it is 0.
    loss : str or callable
        `cross_entropy`; `squared_error`, half the squared norm; or a function of outputs and targets that
        gives the loss of each point, (points,). At centroids targets are means, and must be real.
    sources : "all" or sequence of str
        Spaces whose centroids are tried: `input`, or modules that the features enter. They are cuts: all
        that follows depends on them alone. Inside of a skip connection there is none.
    restarts : int
        Runs of k-means.
    batch : int, optional
        Points at a time, 256 if not given. Memory is that of a batch, of 1 GiB of features, and of the
        centroids; it does not grow with the number of points. Data are passed twice, once with gradients,
        and a third time where their features are more than that: k-means then sees a sample.
    seed : int
        Of k-means and what is drawn at random.
    certified_ranks : int
        Partitions into 1, ..., this many sets certify tails, too.
    svd : {"exact", "randomized"}, optional
        The randomized one finds the 256 largest singular values of each layer; what needs the others is
        missing. Not given, exact, and refused for a layer where that takes minutes.
    progress : bool, optional
        Whether there are progress bars, of what takes longer than a second; on a terminal if not said.

    Returns
    -------
    Dataset
        Dimensions `layer` (names of modules), `source`, `index`, and the variables of the pipeline's files;
        each says what it is in `long_name`, and why it may be missing in `comment`. `loss`,
        `gradient_norm` and `relative_residual` are those of the measured layers.

    Raises
    ------
    TypeError, ValueError
        In one line that names the argument.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(30) % 3
    >>> x = np.eye(3)[labels] + 0.1 * rng.normal(size=(30, 3))
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)).eval()
    >>> found = nrc.measure(model, x, labels, weight_decay=1e-2)
    >>> found["gap"].dims, found["layer"].values.tolist(), found["source"].values.tolist()
    (('layer', 'source'), ['0', '2'], ['input', '2'])
    >>> bool((found["distance"] <= found["bound_projected"].min("source") + 1e-12).all())
    True
    """
    check_module(model)
    check_mode(model)
    check_loss(loss)
    points, batch = data_of(x), BATCH if batch is None else count("batch", batch)
    known = labels_of(labels, y, clusters, len(points))
    k = clusters_of(known, clusters, len(points))
    targets = targets_of(y, known, len(points))
    restarts, seed = count("restarts", restarts), count("seed", seed, least=0)
    certified_ranks = count("certified_ranks", certified_ranks, least=0, most=len(points))
    seen = MeasuredModule(model, points, targets, loss, sources=sources, batch=batch, progress=progress)
    decay = weight_decay_of(seen, weight_decay)
    measured = measure_networks(
        seen,
        labels=None if known is None else known[None],
        clusters=k,
        weight_decay=decay,
        collapsed=_collapsed(seen.weights),
        seeds=[seed],
        kmeans_restarts=restarts,
        numerical_rank_tolerance=NUMERICAL,
        certified_ranks=certified_ranks,
        leading=leading(seen.layers, seen.weights, svd),
    ).isel(cell=0)
    if seen.tied:
        measured["layer"].attrs["tied"] = json.dumps(seen.tied)
    pull = _plain(weight_decay)
    one = {"weight_decay": pull} if isinstance(pull, float) else {}
    told = {
        "experiment": type(model).__name__,
        "loss": loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__),
        "weight_decay": pull,
        "restarts": restarts,
        "certified_ranks": certified_ranks,
        "seed": seed,
    }
    versions = {"torch": str(torch.__version__), "device": str(seen.device), "precision": "float64"}
    sizes = {"clusters": k, "points": seen.points, "dimension": int(np.prod(points.shape[1:]))}
    of_all = _of_all_layers(seen, measured["residual"].values, decay[0])
    return measured.assign(of_all).assign_attrs(provenance(told, **versions) | sizes | one)


def _collapsed(weights: Sequence[Tensor]) -> NDArray[np.bool_]:
    """Whether all weights are 0, (1,)."""
    return np.array([not any(w.any() for w in weights)])


def _plain(weight_decay: float | Mapping[str, float]) -> float | dict[str, float]:
    """A number, or numbers by name, as a file can hold them."""
    if isinstance(weight_decay, Mapping):
        return {name: float(value) for name, value in weight_decay.items()}
    return float(weight_decay)


def _of_all_layers(seen: MeasuredModule, residuals: Array, decay: Array) -> dict[str, xr.DataArray]:
    """The loss, the norm of the residual of all layers, and it over the pull of weight decay."""
    loss, residual = seen.gradient()[0].item(), np.linalg.norm(residuals)
    pull = np.linalg.norm([of * w.norm().item() for of, w in zip(decay, seen.weights, strict=True)])
    values = {
        "loss": (loss, "mean loss, without weight decay", ""),
        "gradient_norm": (residual, "norm ||r|| of the residual of all measured layers", "eq. 4"),
        "relative_residual": (
            relative_residual(torch.tensor(residual), torch.tensor(pull)).item(),
            "||r|| / (lambda ||W||), all measured layers together",
            "eq. 4",
        ),
    }
    return {
        name: xr.DataArray(value, attrs={"long_name": about, "units": "1", "reference": reference})
        for name, (value, about, reference) in values.items()
    }


def spectra(model: nn.Module, *, svd: str | None = None) -> xr.Dataset:
    """Singular values and ranks of every layer of a module, without data.

    Parameters
    ----------
    model : Module
        In any mode; layers as in `measure`.
    svd : {"exact", "randomized"}, optional
        As in `measure`.

    Returns
    -------
    Dataset
        Dimensions `layer` and `index`.

    Raises
    ------
    TypeError, ValueError
        As `measure`.

    Examples
    --------
    >>> found = nrc.spectra(torch.nn.Linear(20, 30))
    >>> found["singular_values"].dims, found["layer"].values.tolist()
    (('layer', 'index'), ['Linear'])
    """
    check_module(model)
    layers = layers_of(model)
    weights, names = weights_of(layers, parameters_of(model)), [layer.name for layer in layers]
    collapsed = _collapsed(weights)
    ranks = rank_measures(weights, collapsed, None, NUMERICAL, leading(names, weights, svd)).isel(cell=0)
    named = coordinates(names, [], ranks.sizes["index"])
    told = provenance({"experiment": type(model).__name__}, torch=str(torch.__version__), precision="float64")
    return ranks.assign_coords(layer=named["layer"], index=named["index"]).assign_attrs(told)
