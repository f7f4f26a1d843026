"""Within-class variability of every space: the WCSS of the classes, and the bracket of the TCV."""

import torch
import xarray as xr
from torch import Tensor

from nrc.measures.spaces import Spaces
from nrc.metadata import describe
from nrc.theory.collapse import wcss_share

__all__ = ["variability"]

ABOUT = {
    "wcss_class": {"long_name": "WCSS of features and targets in the known classes", "reference": "eq. 6"},
    "wcss_share": {
        "long_name": "WCSS of the features in the known classes over their variance",
        "comment": "no scale: 0 where classes are points; missing where all features are equal",
    },
    "nc1": {
        "long_name": "NC1, trace of within-class covariance times inverse of between-class, over K",
        "reference": "Papyan, Han & Donoho 2020",
        "comment": "of the features; no scale and no shape: directions between class means count by their "
        "own scale, down to 1e-5 of the largest; missing where all class means are equal",
    },
    "tcv_lower": {"long_name": "TCV of features and targets, spectral lower bound", "reference": "eq. 7"},
    "tcv_upper": {"long_name": "TCV of features and targets, best partition found", "reference": "eq. 7"},
}


def variability(spaces: Spaces, clusters: int) -> xr.Dataset:
    """WCSS of the known classes, with and without its scale, and the TCV bracket, of every space.

    Parameters
    ----------
    spaces : Spaces
    clusters : int
        K.

    Examples
    --------
    >>> x = torch.tensor([[[2.0, 1.0], [2.0, -1.0]]]).double()
    >>> layer = torch.diag(torch.tensor([0.8, 0.5])).double()
    >>> stack = nrc.measured_network.MeasuredStack(nrc.networks.mlp.Network([layer[None]], "linear"), x, x)
    >>> spaces = nrc.measures.spaces.gather(stack, np.array([[0, 0]]), 1, restarts=1, seeds=[0])
    >>> found = variability(spaces, 1)
    >>> {name: found[name].item() for name in ("wcss_class", "tcv_lower", "wcss_share")}
    {'wcss_class': 2.0, 'tcv_lower': 2.0, 'wcss_share': 1.0}
    """
    classes = spaces.classes or []
    columns = {
        "wcss_class": [partition.wcss for partition in classes],
        "wcss_share": [wcss_share(partition) for partition in classes],
        "nc1": [] if spaces.nc1 is None else list(spaces.nc1.T),
        "tcv_lower": [spread.beyond(clusters - 1) for spread in spaces.spreads],
        "tcv_upper": [partition.wcss for partition in spaces.best],
    }
    missing = [torch.full_like(column, torch.nan) for column in columns["tcv_upper"]]

    def stacked(column: list[Tensor]) -> Tensor:
        return torch.stack(column or missing, dim=1)

    dataset = xr.Dataset({name: (("cell", "source"), stacked(of).numpy()) for name, of in columns.items()})
    return describe(dataset, **ABOUT)
