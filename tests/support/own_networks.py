"""Made-up measures, as `nrc.measure`, `nrc.spectra` and `nrc.Recorder` return them."""

import numpy as np
import xarray as xr

from nrc.theory.ranks import exact_rank, relative_tail

K = 10
SMALL = {"0": 64, "2": 32, "4": 10}
RESNET = {
    "conv1": 27,
    **{f"layer1.{block}.conv{conv}": 64 for block in (0, 1) for conv in (1, 2)},
    **{
        f"layer{stage}.{name}": 64 * 2 ** (stage - 1)
        for stage in (2, 3, 4)
        for name in ("0.conv1", "0.conv2", "0.downsample.0", "1.conv1", "1.conv2")
    },
    "fc": 10,
}


def spectra(layers, made_of=0, decay=0.1):
    """Singular values (layer, index) that fall geometrically from an eighth of the size of each layer."""
    rng, longest = np.random.default_rng(made_of), max(layers.values())
    s = np.full((len(layers), longest), np.nan)
    for row, size in enumerate(layers.values()):
        fall = np.exp(-decay * np.clip(np.arange(size) - size / 8, 0, None))
        s[row, :size] = -np.sort(-fall * rng.uniform(0.8, 1, size))
    return s


def of_spectra(layers=SMALL, **others):
    """Measures that need no data."""
    s = spectra(layers, **others)
    dims = "layer", "index"
    variables = {"singular_values": s, "relative_tail": relative_tail(np.nan_to_num(s))}
    made = xr.Dataset(
        {name: (dims, np.where(np.isnan(s), np.nan, values)) for name, values in variables.items()},
        coords={"layer": list(layers), "index": range(1, s.shape[1] + 1)},
    )
    return made.assign(exact_rank=("layer", exact_rank(np.nan_to_num(s))))


def measured(layers=SMALL, *, ranks=20, room=1.5, without=(), weight_decay=0.01, **others):
    """Results of `nrc.measure`; the layers `without` have no bounds, like convolutions."""
    made = of_spectra(layers, **others).assign_attrs(clusters=K, points=500, weight_decay=weight_decay)
    sources = ["input", *list(layers)[1:]]
    bounded = (made["index"] <= ranks) & ~made["layer"].isin(list(without))
    made["tail_bound"] = (room * made["relative_tail"]).where(bounded & (weight_decay > 0))
    s = made["singular_values"]
    made["distance"] = np.sqrt((s.where(s["index"] > K, 0) ** 2).sum("index"))
    below = xr.DataArray(
        np.tril(np.ones((len(layers), len(layers)))), coords={"layer": list(layers), "source": sources}
    )
    bounded = (below > 0) & ~made["layer"].isin(list(without)) & (weight_decay > 0)
    made["bound_measured"] = (30 * made["distance"] * (1 + below)).where(bounded)
    made["bound_projected"] = (room * made["distance"] * (1 + below)).where(bounded)
    for name in ("bound_analytic", "bound_segments"):
        made[name] = xr.full_like(made["bound_measured"], np.nan)
    return made.assign(relative_residual=3.2e-3, loss=0.12, gradient_norm=1e-4)


def recorded(layers=SMALL, calls=31, **coordinate):
    """Results of `nrc.Recorder`: spectra that fall, and a WCSS that falls by orders of magnitude."""
    s = np.stack([spectra(layers, decay=0.2 * call / calls) for call in range(calls)])
    size = np.array([10.0 * 2 ** (-space) for space in range(len(layers))])
    wcss = size * np.exp(-0.1 * np.arange(calls)[:, None] * (np.arange(len(layers)) > 0))
    return xr.Dataset(
        {
            "snapshot_singular_values": (("snapshot", "layer", "index"), s),
            "snapshot_wcss": (("snapshot", "source"), wcss),
        },
        coords={
            "snapshot": ("snapshot", range(calls), {"long_name": "calls of the recorder"} | coordinate),
            "layer": list(layers),
            "index": range(1, s.shape[2] + 1),
            "source": ["input", *list(layers)[1:]],
        },
        attrs={"clusters": K},
    )
