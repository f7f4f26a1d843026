"""The configuration, checked before any job and made explicit: defaults filled in, axes as lists."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from workflow.config.compatibility import (
    centroid_counterpart,
    centroid_counterparts,
    check_drawn,
    cube_of,
    cube_of_claim,
    cube_of_figure,
    names_of,
)
from workflow.config.experiments import (
    axes_as_lists,
    check_data,
    check_experiment,
    complete,
    leave_out_measures,
)
from workflow.config.inheritance import Likes
from workflow.config.removal import Drops
from workflow.config.schema import Mistake, dotted, kind_of, mistakes, schema
from workflow.config.warm_starts import check_start
from workflow.config.yaml_files import SECTIONS, ConfigurationError, merge_files, merged

__all__ = ["ConfigurationError", "centroid_counterpart", "cube_of_claim", "cube_of_figure", "read_settings"]

# what an entry of each of these is called in the schema
PARTS = {"figures": "figure", "claims": "claim"}


def read_settings(
    files: Sequence[str | Path], overrides: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Read configuration files, check them, and return all settings, complete.

    Parameters
    ----------
    files : sequence of path
        The configuration, then overlays: each changes what those before it say, and drops an entry
        by `NAME: null`.
    overrides : mapping, optional
        What `snakemake --config` gives, numbers as text.

    Returns
    -------
    dict
        `device`, `checkpoint_interval`, `measures`, `data`; `experiments` without `like`; `figures`
        without `style`, each with its own `colour_map` and `dpi`; `claims` without `level`, each with
        its own; and `dropped`, one line on what is dropped and what goes with it, or None.

    Raises
    ------
    ConfigurationError
        At the first mistake.
    """
    layers = merge_files(files, overrides)
    content = layers.content
    experiments = content.get("experiments")
    likes = Likes(experiments if isinstance(experiments, dict) else {}, content.get("measures"))
    drops = Drops(layers, likes)
    settings = _kept(content, drops, likes)
    _refuse(mistakes(settings), likes)
    if not settings["experiments"]:
        raise ConfigurationError("configuration: experiments is empty, but must keep at least one")
    sizes: dict[str, Any] = {}
    for name in sorted(settings["experiments"], key=lambda name: len(likes.chain(name))):
        experiment, data = settings["experiments"][name], settings["data"]
        check_data(name, experiment["data"], data, sizes, likes)
        complete(name, experiment, data[experiment["data"]], likes)
        check_experiment(name, experiment, data[experiment["data"]], sizes[experiment["data"]], likes)
        leave_out_measures(name, experiment, data[experiment["data"]], likes)
    for name in settings["experiments"]:
        check_start(name, settings["experiments"], likes)
    _drop_twinless(settings, drops, likes)
    _finish(settings)
    return {**settings, "dropped": drops.line()}


def _kept(content: Mapping[str, Any], drops: Drops, likes: Likes) -> dict[str, Any]:
    """The content without what is dropped, experiments with what they inherit."""
    kept = dict(content)
    for section in drops.asked:
        if isinstance(content.get(section), dict):
            gone = drops.gone(section)
            kept[section] = {name: entry for name, entry in content[section].items() if name not in gone}
    if isinstance(kept.get("experiments"), dict):
        kept["experiments"] = {name: likes.inherited(name) for name in kept["experiments"]}
    return merged(None, kept)


def _refuse(found: Sequence[Mistake], likes: Likes) -> None:
    """Tell the first mistake; one that others inherit comes first where it was written."""

    def order(mistake: Mistake) -> tuple[int, list[str]]:
        section, name, *_ = [*mistake.path, None, None]
        known = section == "experiments" and name in likes.experiments
        return len(likes.chain(name)) if known else 0, [str(part) for part in mistake.path]

    for mistake in sorted(found, key=order):
        raise ConfigurationError(
            " ".join(filter(None, ["configuration:", dotted(mistake.path), mistake.text]))
        )


def _drop_twinless(settings: Mapping[str, Any], drops: Drops, likes: Likes) -> None:
    """Drop figures and claims that compare with an experiment on centroids which is dropped."""
    known, fallen = settings["experiments"], _fallen(drops, likes)
    for section, part in PARTS.items():
        for name, entry in settings[section].items():
            if name in SECTIONS[section] or cube_of(part, entry) != "shift":
                continue
            for experiment in known.keys() & set(names_of(entry["of"])):
                others = {**fallen, experiment: known[experiment]}
                if not centroid_counterparts(experiment, known) and centroid_counterparts(experiment, others):
                    drops.follow(section, name)
        for name in drops.gone(section):
            settings[section].pop(name, None)


def _fallen(drops: Drops, likes: Likes) -> dict[str, dict[str, Any]]:
    """The dropped experiments as they would be, those without mistakes."""
    fallen = {}
    for name in drops.gone("experiments"):
        try:
            entry = merged(None, likes.inherited(name))
            if not mistakes(entry, schema()["$defs"]["experiment"]):
                entry["grid"].setdefault("sigma", [0])
                fallen[name] = axes_as_lists(name, entry, likes)
        except ConfigurationError:
            continue
    return fallen


def _finish(settings: dict[str, Any]) -> None:
    """Check figures and claims, and give each what all of them share."""
    style, level = settings["figures"].pop("style"), settings["claims"].pop("level")
    for name, figure in settings["figures"].items():
        settings["figures"][name] = {**style, **figure}
    for name, claim in settings["claims"].items():
        settings["claims"][name] = {"level": level, **claim}
        order = kind_of("claim", claim).get("order", False)
        _check_limits(f"claims.{name}", claim["at_least"], claim["at_most"], order)
    for section, part in PARTS.items():
        for name, entry in settings[section].items():
            check_drawn(part, f"{section}.{name}", entry, settings["experiments"])
            for key in ("of", "rank", "measure"):
                if isinstance(entry.get(key), str):
                    entry[key] = [entry[key]]


def _check_limits(key: str, least: float | None, most: float | None, order: bool) -> None:
    if least is None and most is None:
        raise ConfigurationError(
            f"configuration: {key} has no limit, but must have at_least or at_most, or both"
        )
    if None not in (least, most) and least > most:
        raise ConfigurationError(
            f"configuration: {key}.at_least is {least}, but must be at most {key}.at_most, which is {most}"
        )
    if not order:
        return
    if None not in (least, most):
        raise ConfigurationError(
            f"configuration: {key} has both at_least and at_most, but is about an order, which falls or "
            "rises; keep at_most, from -1 to 0, or at_least, from 0 to 1"
        )
    for limit, value, low, high in (("at_least", least, 0, 1), ("at_most", most, -1, 0)):
        if value is not None and not low <= value <= high:
            raise ConfigurationError(
                f"configuration: {key}.{limit} is {value}, but must be from {low} to {high}: a correlation "
                f"of what {'rises' if low == 0 else 'falls'} with weight decay"
            )
