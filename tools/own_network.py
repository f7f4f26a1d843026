"""Write the table of variables in docs/own_network.md: `python -m tools.own_network`."""

from pathlib import Path

import torch
import xarray as xr

import nrc
from tools.markdown import between, filled, table

__all__ = ["PAGE", "variables"]

PAGE = Path(__file__).parents[1] / "docs/own_network.md"


def variables() -> str:
    """The table of the variables that `nrc.measure` returns, sorted by their dimensions."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).eval()
    labels = torch.arange(30) % 2
    measured = nrc.measure(
        model, torch.eye(3)[torch.arange(30) % 3] + labels[:, None], labels, weight_decay=0.1
    )
    rows = [
        {
            "variable": f"`{name}`",
            "dimensions": ", ".join(map(str, of.dims)) or "none",
            "description": of.attrs["long_name"].replace("rank 2,", "rank K,").replace("|", "\\|"),
            "reference": of.attrs.get("reference") or "-",
        }
        for name, of in sorted(measured.data_vars.items(), key=lambda pair: pair[1].dims)
        if not _needs_constant(of)
    ]
    missing = ", ".join(f"`{name}`" for name, of in measured.data_vars.items() if _needs_constant(of))
    listed = table(rows).replace("---:", "---")
    return filled(
        f"{listed}\n\nSome variables are missing (NaN), because they need a constant M that is not known "
        f"for a general module: {missing}."
    )


def _needs_constant(variable: xr.DataArray) -> bool:
    return "no M" in variable.attrs.get("comment", "")


if __name__ == "__main__":
    between(PAGE, "variables", variables())
