"""Reading the flags of files: which cells converged, stopped, died or diverged."""

import xarray as xr

__all__ = ["count_flags", "ending_masks", "flag_masks"]


def flag_masks(flags: xr.DataArray) -> dict[str, xr.DataArray]:
    """A mask for each meaning of a flag variable."""
    codes = zip(flags.attrs["flag_meanings"].split(), flags.attrs["flag_values"], strict=True)
    return {meaning: flags == code for meaning, code in codes}


def ending_masks(cube: xr.Dataset) -> dict[str, xr.DataArray]:
    """A mask for each status, and of the stopped cells those that `diverged`."""
    return {**flag_masks(cube["status"]), "diverged": flag_masks(cube["ended"])["diverged"]}


def count_flags(cube: xr.Dataset) -> dict[str, int]:
    """How many cells have each status, and how many of the stopped ones diverged."""
    return {meaning: int(mask.sum()) for meaning, mask in ending_masks(cube).items()}
