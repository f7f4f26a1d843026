"""Data sets, a module for each kind. Every point is base + sigma * noise.

A kind is a module of this package, found by its name, with a class `Options` (`nrc.data.options`) and

    check(options)                       raises ValueError, beginning with the option's name, before any job
    size(options) -> Size                known before the data are drawn or read
    draw(options, seed, files) -> Points

Data that are downloaded, or that come with the project, are fetched before they are drawn. Their module also
has

    fetched(options) -> dict         the files that `draw` reads, each with its sources in resources/{kind}
    fetch(options, name, bundled)    one of these files as a dataset; `bundled` is the folder resources/{kind}

where `fetch` has only the options that `Options.places` names, and the defaults of the other options.
The Snakefile imports these modules, and so they import xarray and torch inside of functions only.
"""

from typing import NamedTuple

__all__ = ["Size"]


class Size(NamedTuple):
    """Numbers of points, features, clusters and outputs; None if it is not known before the data are read.

    Examples
    --------
    >>> Size(points=200, features=20, clusters=5, outputs=None).features
    20
    """

    points: int
    features: int
    clusters: int | None
    outputs: int | None
