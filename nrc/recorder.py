"""Spectra and within-class variability of a network on its way, recorded from one's own training loop."""

from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import nn

from nrc.arguments import check_module, count, data_of, labels_of
from nrc.measured_module import BATCH, DivergedError, ModuleFeatures
from nrc.measures.coordinates import coordinates
from nrc.metadata import describe, provenance
from nrc.theory.moments import Moments
from nrc.training.snapshots import ABOUT, singular_values

__all__ = ["Recorder"]


class Recorder:
    """Singular values of every layer and WCSS of the classes in every space, while a network trains.

    The first look is at once, at the initial weights. Then call it where a step of training ends, an epoch
    or a batch: it looks at each `every`-th call. Looks are in eval mode and change nothing: mode, gradients
    and random numbers are as before. Where weights or outputs are no longer finite a look has no values.

    Parameters
    ----------
    model : Module
        In any mode.
    x : array
        Inputs (points, ...) to look at.
    labels : integer array
        Class of each point, 0, 1, ..., K-1.
    every : int
        Calls between looks.
    batch : int, optional
        Points at a time, 256 if not given.

    Raises
    ------
    TypeError, ValueError
        As `nrc.measure`.

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
        self, model: nn.Module, x: Any, labels: Any, *, every: int = 1, batch: int | None = None
    ) -> None:
        check_module(model)
        self._model, self._x = model, data_of(x)
        known = labels_of(labels, None, None, len(self._x))
        if known is None:
            raise ValueError("labels: give the class of each point")
        self._labels, self._every = torch.from_numpy(known)[None], count("every", every)
        self._batch = BATCH if batch is None else count("batch", batch)
        self._calls, self._looks = 0, dict[int, xr.Dataset]()
        self._look()

    def __call__(self) -> None:
        """Count a step of training, and look if it is time."""
        self._calls += 1
        if self._calls % self._every == 0:
            self._look()

    def dataset(self) -> xr.Dataset:
        """All looks, and one now: dimensions `snapshot` (calls), `layer`, `source` and `index`."""
        self._look()
        calls = xr.DataArray(list(self._looks), dims="snapshot", attrs={"long_name": "calls", "units": "1"})
        looks = xr.concat(list(self._looks.values()), "snapshot", join="outer").assign_coords(snapshot=calls)
        # a space may be a cut at some looks only: a skip connection whose weight starts at 0
        sources = dict.fromkeys(name for look in self._looks.values() for name in look["source"].values)
        looks = looks.sel(source=list(sources))
        about = {name: attributes for name, (_, attributes) in ABOUT.items()}
        told = {"experiment": type(self._model).__name__, "every": self._every}
        sizes = {"clusters": int(self._labels.max()) + 1, "points": len(self._x)}
        return describe(looks, **about).assign_attrs(provenance(told, torch=str(torch.__version__)) | sizes)

    def _look(self) -> None:
        if self._calls in self._looks:
            return
        try:
            self._looks[self._calls] = self._seen()
        except DivergedError:
            if not self._looks:
                raise
            self._looks[self._calls] = xr.full_like(self._looks[0], np.nan)

    @torch.inference_mode(False)
    def _seen(self) -> xr.Dataset:
        seen = ModuleFeatures(self._model, self._x, batch=self._batch, progress=False)
        s = singular_values(seen.weights)[0]
        return xr.Dataset(
            {
                "snapshot_singular_values": (("layer", "index"), s),
                "snapshot_wcss": ("source", self._wcss(seen)),
            },
            coordinates(seen.layers, seen.sources, s.shape[1]),
        )

    def _wcss(self, seen: ModuleFeatures) -> NDArray[np.float64]:
        """WCSS of the classes in each space, missing where it overflows; classes as targets add nothing."""
        classes = int(self._labels.max()) + 1
        sums = [Moments(1, classes, size) for size in seen.sizes]
        for rows, z in seen.features("features"):
            for of_source, features in zip(sums, z, strict=True):
                of_source.update(features, self._labels[:, rows])
        wcss = np.array([of.squares.sum().item() / seen.points for of in sums])
        return np.where(np.isfinite(wcss), wcss, np.nan)
