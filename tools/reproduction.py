"""Write the settings of all networks into docs/reproduction.md, from the configuration.

python -m tools.reproduction
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nrc import kinds
from nrc.grid import notation
from tools.markdown import between, table
from workflow.config.load import read_settings

__all__ = ["PAGE", "settings_table"]

PROJECT = Path(__file__).parents[1]
PAGE = PROJECT / "docs/reproduction.md"
LARGE_PLANE = PROJECT / "workflow/scales/large_plane.yaml"
# the experiments in each figure; linear networks are trained on centroids with the same settings
EXPERIMENTS = {
    "Figure 1": ("mixture",),
    "Figure 2": ("linear_product", "linear"),
    "Figure 3": ("mnist", "mnist_stationary"),
    "Figure 4": ("width", "width_stationary", "width_five"),
    "Figure 5": ("depth", "depth_stationary"),
}
AXES = ("weight_decay", "sigma", "width", "depth", "seed")


def settings_table() -> str:
    """The settings of the experiments as a table in Markdown."""
    desk, large = (
        read_settings([PROJECT / "config.yaml"]),
        read_settings([PROJECT / "config.yaml", LARGE_PLANE]),
    )
    rows = [_row(figure, name, desk) for figure, names in EXPERIMENTS.items() for name in names]
    return table([*rows, _row("the large plane", "mixture", large)])


def _row(title: str, name: str, settings: Mapping[str, Any]) -> dict[str, str]:
    experiment = settings["experiments"][name]
    module, options = kinds.parse("data", settings["data"][experiment["data"]])
    size, training = module.size(options), experiment["training"]
    sizes = {"d": size.features, "N": size.points, "K": size.clusters}
    return {
        "figure": f"{title}, `{name}`",
        **{symbol: f"{value:,}" for symbol, value in sizes.items()},
        **{axis.replace("_", " "): _values(experiment["grid"].get(axis, [])) for axis in AXES},
        "method": _method(training["method"]),
        "epochs, at most": f"{training['epochs']:,}",
        "tolerance": notation(training["tolerance"]),
    }


def _method(method: Mapping[str, Any]) -> str:
    if not method.get("batch"):
        return method["name"]
    rate, batch = notation(method["learning_rate"]), method["batch"]
    return f"{method['name']}, learning rate {rate} ({method['schedule']}), batches of {batch}"


def _values(values: Sequence[float]) -> str:
    """A short list of values, or their number and range."""
    if len(values) <= 4:
        return ", ".join(map(notation, values)) or "-"
    return f"{len(values)} from {notation(min(values))} to {notation(max(values))}"


if __name__ == "__main__":
    between(PAGE, "settings", settings_table() + "\n")
