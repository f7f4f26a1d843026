"""The table of docs/own_network.md, what `nrc.measure` gives: `python -m bench.own_network`."""

from pathlib import Path

import torch
import xarray as xr

import nrc
from bench.page import between, filled, table

__all__ = ["PAGE", "variables"]

PAGE = Path(__file__).parents[1] / "docs/own_network.md"


def variables() -> str:
    """What each variable is over and says of itself, those of the same dimensions together."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).eval()
    labels = torch.arange(30) % 2
    measured = nrc.measure(
        model, torch.eye(3)[torch.arange(30) % 3] + labels[:, None], labels, weight_decay=0.1
    )
    rows = [
        {
            "variable": f"`{name}`",
            "over": ", ".join(map(str, of.dims)) or "all",
            "what it is": of.attrs["long_name"].replace("rank 2,", "rank K,").replace("|", "\\|"),
            "from": of.attrs.get("reference") or "-",
        }
        for name, of in sorted(measured.data_vars.items(), key=lambda pair: pair[1].dims)
        if not _needs_constant(of)
    ]
    none = ", ".join(f"`{name}`" for name, of in measured.data_vars.items() if _needs_constant(of))
    listed = table(rows).replace("---:", "---")
    return filled(f"{listed}\n\nMissing, for no constant M is known of a module: {none}.")


def _needs_constant(variable: xr.DataArray) -> bool:
    return "no M" in variable.attrs.get("comment", "")


if __name__ == "__main__":
    between(PAGE, "variables", variables())
