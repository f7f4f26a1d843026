"""Spectra, distinct neurons and within-class variability during training, recorded from your own loop."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import nn

from nrc.api_arguments import check_module, count, labels_of, patterns_of
from nrc.measures.coordinates import coordinates
from nrc.metadata import describe, provenance
from nrc.modules.calls import as_by_default
from nrc.modules.inputs import inputs_of
from nrc.modules.layers import DivergedError
from nrc.modules.measured_module import BATCH, ModuleFeatures
from nrc.modules.plain_module import unwrapped
from nrc.theory.moments import Moments
from nrc.theory.neurons import MOST, distinct
from nrc.training.snapshots import ABOUT, singular_values

__all__ = ["Recorder"]


class Recorder:
    """Singular values and distinct neurons of layers, and WCSS of classes in every space, during training.

    The first snapshot is taken at once, of the initial weights. Call the recorder after each step of
    training, an epoch or a batch: it takes a snapshot at every `every`-th call. Snapshots are taken in eval
    mode and leave mode, gradients and random numbers unchanged. They have missing values if weights or
    outputs are not finite.

    Parameters
    ----------
    model : Module
        In any mode.
    x : array
        Inputs (points, ...), or of another structure as in `nrc.measure`.
    labels : array
        Class of each point, in any numbers or words.
    every : int
        Calls between snapshots.
    batch : int, optional
        Points per batch, 256 by default.
    leave_out : str or sequence of str
        Names or patterns of layers or parameters that are not measured.

    Raises
    ------
    TypeError, ValueError
        As in `nrc.measure`.

    Examples
    --------
    >>> model, x = torch.nn.Sequential(torch.nn.Linear(3, 2)), torch.randn(8, 3)
    >>> optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> recorder = nrc.Recorder(model, x, [0, 1] * 4, every=5)
    >>> for _ in range(10):
    ...     optimiser.zero_grad()
    ...     model(x).square().mean().backward()
    ...     optimiser.step()
    ...     recorder()
    >>> recorder.dataset()["snapshot_singular_values"].sizes
    Frozen({'snapshot': 3, 'layer': 1, 'index': 2})
    """

    def __init__(
        self,
        model: nn.Module,
        x: Any,
        labels: Any,
        *,
        every: int = 1,
        batch: int | None = None,
        leave_out: str | Sequence[str] = (),
    ) -> None:
        check_module(model)
        self._model, self._x = model, inputs_of(x)
        if labels is None:
            raise ValueError("labels: pass the class of each point")
        known = labels_of("labels", labels, len(self._x))
        self._labels, self._every = torch.from_numpy(known)[None], count("every", every)
        self._batch = BATCH if batch is None else count("batch", batch)
        self._leave_out = patterns_of(leave_out)
        self._calls, self._snapshots = 0, dict[int, xr.Dataset]()
        self._record()

    def __call__(self) -> None:
        """Count a step of training, and take a snapshot if it is due."""
        self._calls += 1
        if self._calls % self._every == 0:
            self._record()

    def dataset(self) -> xr.Dataset:
        """All snapshots and one of now, with dimensions `snapshot` (calls), `layer`, `source` and `index`."""
        self._record()
        snapshots = list(self._snapshots.values())
        attributes = {"long_name": "calls", "units": "1"}
        calls = xr.DataArray(list(self._snapshots), dims="snapshot", attrs=attributes)
        dataset = xr.concat(snapshots, "snapshot", join="outer").assign_coords(snapshot=calls)
        # a space may be a cut in some snapshots only, as beside a skip connection whose weight starts at 0
        sources = dict.fromkeys(name for snapshot in snapshots for name in snapshot["source"].values)
        dataset = dataset.sel(source=list(sources))
        about = {name: attributes for name, (_, attributes) in ABOUT.items()}
        settings = {"experiment": type(self._model).__name__, "every": self._every}
        sizes = {"clusters": self._classes, "points": len(self._x)}
        return describe(dataset, **about).assign_attrs(
            provenance(settings, torch=str(torch.__version__)) | sizes
        )

    @property
    def _classes(self) -> int:
        return int(self._labels.max()) + 1

    def _record(self) -> None:
        if self._calls in self._snapshots:
            return
        try:
            self._snapshots[self._calls] = self._snapshot()
        except DivergedError:
            if not self._snapshots:
                raise
            self._snapshots[self._calls] = xr.full_like(self._snapshots[0], np.nan)

    @as_by_default()
    def _snapshot(self) -> xr.Dataset:
        network = ModuleFeatures(
            unwrapped(self._model), self._x, batch=self._batch, progress=False, leave_out=self._leave_out
        )
        s, neurons = singular_values(network.weights)[0], np.full(len(network.layers), np.nan)
        for of in network.neurons:
            if len(network.weights[of.layer][0]) <= MOST:
                neurons[of.layer] = distinct(network.incoming(of)[0].numpy(), of.odd, of.homogeneous)
        return xr.Dataset(
            {
                "snapshot_singular_values": (("layer", "index"), s),
                "snapshot_distinct_neurons": ("layer", neurons),
                "snapshot_wcss": ("source", self._wcss(network)),
            },
            coordinates(network.layers, network.sources, s.shape[1]),
        )

    def _wcss(self, network: ModuleFeatures) -> NDArray[np.float64]:
        """WCSS of the classes in each space, missing where it overflows; classes as targets do not vary."""
        moments = [Moments(1, self._classes, size) for size in network.sizes]
        for rows, z in network.features("features"):
            for of_source, features in zip(moments, z, strict=True):
                of_source.update(features, self._labels[:, rows])
        wcss = np.array([of_source.squares.sum().item() / network.points for of_source in moments])
        return np.where(np.isfinite(wcss), wcss, np.nan)
