"""The measures of any torch module on your own data."""

import json
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from nrc.api_arguments import (
    check_mode,
    check_module,
    clusters_of,
    count,
    counted,
    known_classes,
    leading,
    patterns_of,
    rows_of_points,
)
from nrc.measures.coordinates import coordinates
from nrc.measures.network import measure as measure_networks
from nrc.measures.ranks import rank_measures
from nrc.metadata import describe, provenance
from nrc.modules.calls import as_by_default
from nrc.modules.inputs import inputs_of
from nrc.modules.layers import layers_of, parameters_of, share_of, stored_layers, weights_of
from nrc.modules.losses import Each, loss_of
from nrc.modules.measured_module import BATCH, MeasuredModule
from nrc.modules.plain_module import unwrapped, with_plain_weights
from nrc.modules.stored_weights import stored_weights
from nrc.modules.user_arrays import array_of, values_of
from nrc.modules.weight_decay import WeightDecay, weight_decay_of

__all__ = ["measure", "spectra"]

Array = NDArray[np.float64]

# The numerical rank counts singular values above this share of the largest.
NUMERICAL = 1e-3

ABOUT = {
    "loss": {"long_name": "mean loss, without weight decay"},
    "gradient_norm": {
        "long_name": "norm ||r|| of the residual of all parameters with weight decay, measured or not",
        "comment": "of all parameters that are trained if there is no weight decay",
        "reference": "eq. 4",
    },
    "relative_residual": {
        "long_name": "relative residual ||r|| / ||gradient of the penalty|| of the same parameters",
        "comment": "missing without weight decay",
        "reference": "eq. 4",
    },
    "measured_share": {"long_name": "share of the numbers in all parameters that are in layers"},
}
# What a file says of decoupled weight decay.
DECOUPLED = "beside the gradient, as in AdamW: no penalty, and residuals are not 0 at the end of training"
NOT_TRAINED = "missing where the weight is frozen or computed from other parameters"


@as_by_default()
def measure(
    model: nn.Module,
    x: ArrayLike | Tensor,
    y: ArrayLike | Tensor | None = None,
    *,
    labels: ArrayLike | Tensor | None = None,
    clusters: int | None = None,
    weight_decay: float | Mapping[str, float] | Optimizer = 0.0,
    loss: str | nn.Module | Each = "cross_entropy",
    sources: str | Sequence[str] = "all",
    leave_out: str | Sequence[str] = (),
    restarts: int = 10,
    batch: int | None = None,
    seed: int = 0,
    certified_ranks: int = 0,
    svd: str | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """Spectra and ranks of every layer, variability of every space, and the bounds of Theorem 3.4.

    The pipeline computes the same measures of its networks. The loss is a mean over points. Weight decay
    lambda is a penalty (lambda/2) ||W||^2, as in `torch.optim.SGD` and `Adam`. At the end of training the
    gradient in each weight is -lambda W, and `residual` is 0. The decoupled decay of `AdamW` is no penalty:
    its end points are not stationary points of a loss, and their `residual` is not small.

    Parameters
    ----------
    model : Module
        In eval mode; it is not changed. The measured layers are all matrices in its parameters: the weights
        of linear layers, kernels unfolded to (outputs, inputs/groups * positions), projections of attentions,
        gates of recurrent layers, tables of embeddings, and your own parameters with two or three axes; tied
        weights are measured once. Wrappers such as those of `torch.compile` are removed, and weights that are
        computed (weight norm, pruning, LoRA of peft) are measured as they are used. It may be on a CPU or a
        GPU; the computation is in float64 in any case.
    x : array, frame, tuple, dict, Dataset or DataLoader
        Inputs (points, ...): an array, also sparse or memory-mapped; several arrays in a tuple or in a
        dictionary, which are arguments of the model by place or by name; or a dataset, which is read batch
        by batch in its order, whether a loader shuffles or not.
    y : array, optional
        Targets (points, ...) of the loss; of a cross-entropy, classes (points,), the numbers of outputs, or
        distributions over them. By default what a dataset yields beside the points, or the labels.
    labels : array, optional
        Known class of each point, in whole numbers, truth values, words or one-hot rows. By default `y`, if
        it holds classes and `clusters` is not given.
    clusters : int, optional
        K, if there are no labels: measures of known classes are missing then.
    weight_decay : float, mapping or Optimizer
        lambda, or a mapping from names in `named_parameters` to values, with 0 for other parameters, or an
        optimiser, whose groups have the values. A number counts for all parameters, as in `torch.optim`, also
        for biases. Frozen parameters (`requires_grad=False`) have none. Bounds are void, and therefore
        missing, where it is 0, and for weights that are computed from other parameters.
    loss : str, Module or callable
        `cross_entropy`, `squared_error` (half the squared norm), `mse` (as `MSELoss`) or
        `binary_cross_entropy` (of logits); a `CrossEntropyLoss`, `NLLLoss`, `MSELoss` or `BCEWithLogitsLoss`
        of torch, with its options; or a function of outputs and targets that returns the loss of each point,
        (points,). Losses are also evaluated at mean targets, which are real. Points of the ignored class of
        a cross-entropy, -100 by default, are left out.
    sources : "all" or sequence of str
        Spaces whose centroids are used: `input`, or modules that the features enter. They are cuts, spaces
        that determine all later features. There is none inside a skip connection.
    leave_out : str or sequence of str
        Names or patterns (`"*.attn.*"`) of layers or parameters that are not measured.
    restarts : int
        Runs of k-means.
    batch : int, optional
        Points per batch, 256 by default. Memory holds a batch, 1 GiB of features with their copies, and the
        centroids; it does not grow with the number of points. The data are passed several times. If their
        features exceed 256 MiB, k-means is fitted to a sample, and the potential of neurons is missing.
    seed : int
        Seed of k-means and of permuted labels.
    certified_ranks : int
        The bounds on tails also use partitions into 1, ..., this many sets.
    svd : {"exact", "randomized"}, optional
        The randomized method computes the 256 largest singular values of each layer; measures that need the
        others are missing. By default exact, but an error for a layer for which that takes minutes.
    progress : bool, optional
        Whether to show progress bars after one second; on a terminal by default.

    Returns
    -------
    Dataset
        Dimensions `layer` (names of parameters without `weight`), `source` and `index`, and the variables of
        the pipeline's files, which are described by `long_name` and `comment`. `gradient_norm` and
        `relative_residual` are over all parameters with weight decay, measured or not. `measured_share` is
        the share of the parameters in layers, and its attribute `not_measured` names the others.

    Raises
    ------
    TypeError, ValueError
        With the name of the argument, in one line.

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
    inner = unwrapped(model)
    check_mode(inner)
    ell, points = loss_of(loss), inputs_of(x)
    batch = BATCH if batch is None else count("batch", batch)
    y = points.targets if y is None else y
    name, y = ("labels", labels) if y is None else ("y", y)
    targets = None if y is None else rows_of_points(name, y, len(points))
    if targets is not None and (rows := counted(targets, ell)) is not None:
        points, targets = points.only(rows), values_of(targets)[rows]
        labels = None if labels is None else values_of(array_of("labels", labels))[rows]
    known = known_classes(labels, targets, clusters, ell, len(points))
    k = clusters_of(known, clusters, len(points))
    if targets is None:
        raise ValueError("y: pass targets, or labels as classes")
    restarts, seed = count("restarts", restarts), count("seed", seed, smallest=0)
    certified_ranks = count("certified_ranks", certified_ranks, smallest=0, points=len(points))
    network = MeasuredModule(
        inner,
        points,
        targets,
        ell,
        sources=sources,
        batch=batch,
        progress=progress,
        leave_out=patterns_of(leave_out),
    )
    if network.precision != "float64":
        line = "its copy is in float64, but it computes in {0} in part, and the numbers have that precision"
        warnings.warn(f"model: {line.format(network.precision)}", stacklevel=3)
    decay = weight_decay_of(weight_decay, model, inner)
    measured = measure_networks(
        network,
        labels=None if known is None else known[None],
        clusters=k,
        weight_decay=decay.of_layers(network.parameters_of_layers),
        collapsed=_collapsed(network.weights),
        seeds=[seed],
        kmeans_restarts=restarts,
        numerical_rank_tolerance=NUMERICAL,
        certified_ranks=certified_ranks,
        leading=leading(network.layers, network.weights, svd),
        bias_decay=decay.of_biases(network.parameters_of_layers),
    ).isel(cell=0)
    trained = decay.trains(network.parameters_of_layers)
    if not trained.all():
        measured["residual"] = measured["residual"].where(xr.DataArray(trained, dims="layer"))
        measured["residual"].attrs["comment"] = NOT_TRAINED
    if network.tied:
        measured["layer"].attrs["tied"] = json.dumps(network.tied)
    uniform = {"weight_decay": decay.given} if isinstance(decay.given, float) else {}
    beside = {"weight_decay_acts": DECOUPLED} if decay.decoupled else {}
    settings = {
        "experiment": type(inner).__name__,
        "loss": ell.name,
        "weight_decay": decay.given,
        "restarts": restarts,
        "certified_ranks": certified_ranks,
        "seed": seed,
    }
    versions = {
        "torch": str(torch.__version__),
        "device": str(network.device),
        "precision": network.precision,
    }
    sizes = {"clusters": k, "points": network.points, "dimension": points.dimension}
    totals = _totals(network, decay) | _share(*network.share)
    return measured.assign(totals).assign_attrs(provenance(settings, **versions) | sizes | uniform | beside)


def _collapsed(weights: Sequence[Tensor]) -> NDArray[np.bool_]:
    """Whether all weights are 0, (1,)."""
    return np.array([not any(w.any() for w in weights)])


def _totals(network: MeasuredModule, decay: WeightDecay) -> dict[str, xr.DataArray]:
    """The loss, and the residual of all parameters together."""
    norm, relative = network.residual_of_parameters(decay.of_trained)
    values = {"loss": network.gradient()[0].item(), "gradient_norm": norm, "relative_residual": relative}
    return _described(values)


def _share(share: float, others: Sequence[str]) -> dict[str, xr.DataArray]:
    """The share of the parameters in layers, with the names of the others."""
    found = _described({"measured_share": share})
    found["measured_share"].attrs["not_measured"] = json.dumps(others)
    return found


def _described(values: Mapping[str, float]) -> dict[str, xr.DataArray]:
    described = describe(xr.Dataset(values), **{name: ABOUT[name] for name in values})
    return {str(name): values for name, values in described.data_vars.items()}


def spectra(
    model: nn.Module | Mapping[str, ArrayLike | Tensor] | ArrayLike | Tensor | str | PathLike[str],
    *,
    leave_out: str | Sequence[str] = (),
    svd: str | None = None,
) -> xr.Dataset:
    """Singular values and ranks of every layer of a module or of stored weights, without data.

    Parameters
    ----------
    model : Module, mapping, array or path
        A module in any mode, with the same layers as in `measure`; a state dict, or matrices by name; one
        matrix; or the file of a state dict, in the format of safetensors (which needs that package) or of
        `torch.save`. Without the module, kernels are unfolded along their first axis, and parameters with
        three axes that are not called `weight` are stacks of matrices.
    leave_out : str or sequence of str
        As in `measure`.
    svd : {"exact", "randomized"}, optional
        As in `measure`.

    Returns
    -------
    Dataset
        Dimensions `layer` and `index`.

    Raises
    ------
    TypeError, ValueError
        As in `measure`.

    Examples
    --------
    >>> found = nrc.spectra(torch.nn.Linear(20, 30))
    >>> found["singular_values"].dims, found["layer"].values.tolist()
    (('layer', 'index'), ['Linear'])
    >>> nrc.spectra({"a": np.diag([2.0, 1.0, 1.0])})["stable_rank"].values.tolist()
    [1.5]
    """
    kind = type(model).__name__
    if isinstance(model, nn.Module):
        inner = with_plain_weights(unwrapped(model))
        layers, tensors = layers_of(inner, patterns_of(leave_out)), dict[str, Tensor](parameters_of(inner))
        kind = type(inner).__name__
    else:
        tensors = stored_weights(model)
        layers = stored_layers(tensors, patterns_of(leave_out))
    weights, names = weights_of(layers, tensors), [layer.name for layer in layers]
    collapsed = _collapsed(weights)
    ranks = rank_measures(weights, collapsed, None, NUMERICAL, leading(names, weights, svd)).isel(cell=0)
    named = coordinates(names, [], ranks.sizes["index"])
    attributes = provenance({"experiment": kind}, torch=str(torch.__version__), precision="float64")
    found = ranks.assign_coords(layer=named["layer"], index=named["index"])
    return found.assign(_share(*share_of(layers, tensors))).assign_attrs(attributes)
