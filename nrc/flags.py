"""Reading the flags of files: which cells converged, stopped, died or diverged."""

import xarray as xr

__all__ = ["count_flags", "ending_masks", "flag_masks"]


def flag_masks(flags: xr.DataArray) -> dict[str, xr.DataArray]:
    """A mask for each meaning of a flag variable.

    Examples
    --------
    >>> about = {"flag_values": [0, 1], "flag_meanings": "converged stopped"}
    >>> masks = flag_masks(xr.DataArray([0, 1, 0], dims="seed", attrs=about))
    >>> masks["converged"].values.tolist()
    [True, False, True]
    """
    codes = zip(flags.attrs["flag_meanings"].split(), flags.attrs["flag_values"], strict=True)
    return {meaning: flags == code for meaning, code in codes}


def ending_masks(cube: xr.Dataset) -> dict[str, xr.DataArray]:
    """A mask for each status, and of the stopped cells those that `diverged`.

    Examples
    --------
    >>> status = {"flag_values": [0, 1], "flag_meanings": "converged stopped"}
    >>> ended = {"flag_values": [0, 5], "flag_meanings": "tolerance diverged"}
    >>> cube = xr.Dataset({"status": ("seed", [0, 1], status), "ended": ("seed", [0, 5], ended)})
    >>> {name: mask.values.tolist() for name, mask in ending_masks(cube).items()}
    {'converged': [True, False], 'stopped': [False, True], 'diverged': [False, True]}
    """
    return {**flag_masks(cube["status"]), "diverged": flag_masks(cube["ended"])["diverged"]}


def count_flags(cube: xr.Dataset) -> dict[str, int]:
    """How many cells have each status, and how many of the stopped ones diverged.

    Examples
    --------
    >>> status = {"flag_values": [0, 1], "flag_meanings": "converged stopped"}
    >>> ended = {"flag_values": [0, 5], "flag_meanings": "tolerance diverged"}
    >>> cube = xr.Dataset({"status": ("seed", [0, 1, 1], status), "ended": ("seed", [0, 5, 5], ended)})
    >>> count_flags(cube)
    {'converged': 1, 'stopped': 2, 'diverged': 2}
    """
    return {meaning: int(mask.sum()) for meaning, mask in ending_masks(cube).items()}
