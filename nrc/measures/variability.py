"""Within-class variability of every hidden space: WCSS of the classes, and the bracket of the TCV."""

import torch
import xarray as xr
from torch import Tensor

from nrc.measures.spaces import Spaces
from nrc.metadata import describe
from nrc.theory.clusters import tcv_lower_semidefinite
from nrc.theory.collapse import wcss_share

__all__ = ["variability"]

ABOUT = {
    "wcss_class": {"long_name": "WCSS of features and targets in the known classes", "reference": "eq. 6"},
    "wcss_share": {
        "long_name": "WCSS of the features in the known classes over their variance",
        "comment": "no scale: 0 where classes are points; missing where all features are one",
    },
    "nc1": {
        "long_name": "NC1, trace of within-class covariance times inverse of between-class, over K",
        "reference": "Papyan, Han & Donoho 2020",
        "comment": "of the features; no scale and no shape: directions between class means count by their "
        "own scale, down to 1e-5 of the largest; missing where all class means are one",
    },
    "tcv_upper": {"long_name": "TCV of features and targets, best partition found", "reference": "eq. 7"},
}


def variability(spaces: Spaces, clusters: int, lower: str = "spectral") -> xr.Dataset:
    """WCSS of the known classes, with and without its scale, and the TCV bracket, of every space.

    Parameters
    ----------
    spaces : Spaces
    clusters : int
        K.
    lower : {"spectral", "semidefinite"}
        The bound below the TCV; the semidefinite one is the larger of both.

    Examples
    --------
    >>> x = torch.tensor([[[2.0, 1.0], [2.0, -1.0]]]).double()
    >>> layer = torch.diag(torch.tensor([0.8, 0.5])).double()
    >>> seen = nrc.measured_network.MeasuredStack(nrc.networks.mlp.Network([layer[None]], "linear"), x, x)
    >>> spaces = nrc.measures.spaces.gather(seen, np.array([[0, 0]]), 1, restarts=1, seeds=[0])
    >>> found = variability(spaces, 1)
    >>> {name: round(found[name].item(), 6) for name in ("wcss_class", "tcv_lower", "wcss_share")}
    {'wcss_class': 2.0, 'tcv_lower': 2.0, 'wcss_share': 1.0}
    """
    columns = {
        "wcss_class": _of_classes(spaces, [of.wcss for of in spaces.classes or []]),
        "wcss_share": _of_classes(spaces, [wcss_share(of) for of in spaces.classes or []]),
        "nc1": _of_classes(spaces, [] if spaces.nc1 is None else list(spaces.nc1.T)),
        "tcv_lower": torch.stack(_tcv_lower(spaces, clusters, lower), dim=1),
        "tcv_upper": torch.stack([of.wcss for of in spaces.best], dim=1),
    }
    dataset = xr.Dataset({name: (("cell", "source"), values.numpy()) for name, values in columns.items()})
    bound = {"long_name": f"TCV of features and targets, {lower} lower bound", "reference": "eq. 7"}
    return describe(dataset, **ABOUT, tcv_lower=bound)


def _of_classes(spaces: Spaces, columns: list[Tensor]) -> Tensor:
    """(cells, sources), missing without known classes."""
    missing = torch.full((len(spaces.best[0].wcss), len(spaces.best)), torch.nan, dtype=torch.float64)
    return torch.stack(columns, dim=1) if columns else missing


def _tcv_lower(spaces: Spaces, clusters: int, kind: str) -> list[Tensor]:
    spectral = [spread.beyond(clusters - 1) for spread in spaces.spreads]
    if kind == "spectral":
        return spectral
    # a sum over a sample of the points is at most that over all
    share = spaces.kept[0].shape[1] / spaces.labels[0].shape[1]
    tighter = [
        share * torch.tensor([tcv_lower_semidefinite(points, clusters) for points in space.numpy()])
        for space in spaces.kept
    ]
    return [torch.maximum(*pair) for pair in zip(spectral, tighter, strict=True)]
