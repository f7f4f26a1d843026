"""The configuration, checked before any job and made explicit: defaults filled in, axes as lists."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from nrc.claims.options import ClaimOptions
from nrc.figures.options import FigureOptions
from nrc.options import Options
from workflow.config.compatibility import check_compatibility, cube_of, names_of
from workflow.config.counterparts import centroid_counterparts
from workflow.config.experiments import check_data, check_experiment, complete, leave_out_measures
from workflow.config.inheritance import Inheritance
from workflow.config.mistakes import Mistake, mistakes
from workflow.config.models import Configuration, Experiment
from workflow.config.old_keys import old_keys
from workflow.config.overlays import merge_files
from workflow.config.removal import Removal
from workflow.config.warm_starts import check_warm_start
from workflow.config.yaml_files import ConfigurationError

__all__ = ["ConfigurationError", "read_settings"]


def read_settings(
    files: Sequence[str | Path], overrides: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """Read configuration files, check them, and return all settings, complete.

    Parameters
    ----------
    files : sequence of path
        The configuration, then overlays: each changes the settings of those before it, and removes an entry
        by `NAME: null`.
    overrides : mapping, optional
        The settings of `snakemake --config`, numbers as texts.

    Returns
    -------
    dict
        `device`, `checkpoint_interval`, `measures`, `data`; `experiments` without `like`; `figures`
        without `style`, each with its own `colour_map` and `dpi`; `claims` without `level`, each with
        its own; and `removed`, a sentence about the entries that are removed, or None.

    Raises
    ------
    ConfigurationError
        At the first mistake.
    """
    layers = merge_files(files, overrides)
    inheritance = Inheritance(layers.content)
    removal = Removal(layers, inheritance)
    content = removal.kept()
    if isinstance(content.get("experiments"), dict):
        content["experiments"] = {name: inheritance.inherited(name) for name in content["experiments"]}
    settings = _checked(content, inheritance)
    experiments, data = settings["experiments"], settings["data"]
    if not experiments:
        raise ConfigurationError("experiments is empty, but must have one experiment or more")
    used = {experiment["data"] for experiment in experiments.values()}
    sizes = check_data({name: entry for name, entry in data.items() if name in used})
    for name in sorted(experiments, key=lambda name: len(inheritance.ancestors(name))):
        complete(name, experiments[name], data, inheritance)
        of = experiments[name]["data"]
        check_experiment(name, experiments[name], data[of], sizes[of], inheritance)
        leave_out_measures(name, experiments[name], data[of], inheritance)
    for name in experiments:
        check_warm_start(name, experiments, inheritance)
    _remove_comparisons(settings, removal, inheritance)
    for section in ("figures", "claims"):
        for name, entry in settings[section].items():
            check_compatibility(section, name, entry, experiments)
    return {**settings, "removed": removal.line()}


def _checked(content: Mapping[str, Any], inheritance: Inheritance) -> dict[str, Any]:
    """The settings by the models, or the first mistake, reported where it was written."""
    found = list(old_keys(content))
    try:
        configuration = Configuration.model_validate(content)
    except ValidationError as error:
        found = found or mistakes(error, content)

    def order(mistake: Mistake) -> tuple[int, list[str]]:
        section, name, *_ = (*map(str, mistake.path), "", "")
        known = section == "experiments" and name in inheritance.experiments
        return len(inheritance.ancestors(name)) if known else 0, list(map(str, mistake.path))

    for mistake in sorted(found, key=order):
        raise ConfigurationError(f"{mistake.text}")
    settings = configuration.model_dump(by_alias=True)
    figures, claims = configuration.figures, configuration.claims
    style = settings["figures"].pop("style")
    _share(settings["figures"], figures.__pydantic_extra__ or {}, style, FigureOptions)
    level = settings["claims"].pop("level")
    _share(settings["claims"], claims.__pydantic_extra__ or {}, {"level": level}, ClaimOptions)
    return settings


def _share(
    entries: Mapping[str, dict[str, Any]],
    models: Mapping[str, BaseModel],
    defaults: Mapping[str, Any],
    common: type[Options],
) -> None:
    """Give entries the defaults that they share, unless an entry or its kind has another value."""
    for name, model in models.items():
        for key, value in defaults.items():
            of_kind = type(model).model_fields[key].default
            if key not in model.model_fields_set and of_kind == common.model_fields[key].default:
                entries[name][key] = value


def _remove_comparisons(settings: Mapping[str, Any], removal: Removal, inheritance: Inheritance) -> None:
    """Remove figures and claims that compare with an experiment on centroids which is removed."""
    known, removed = settings["experiments"], _removed_experiments(settings, removal, inheritance)
    for section in ("figures", "claims"):
        for name, entry in settings[section].items():
            if cube_of(section, entry) != "shift":
                continue
            for experiment in known.keys() & set(names_of(entry["of"])):
                before = {**removed, experiment: known[experiment]}
                if not centroid_counterparts(experiment, known) and centroid_counterparts(experiment, before):
                    removal.add(section, name)
        for name in removal.all(section):
            settings[section].pop(name, None)


def _removed_experiments(
    settings: Mapping[str, Any], removal: Removal, inheritance: Inheritance
) -> dict[str, dict[str, Any]]:
    """The removed experiments as they would be, if they have no mistakes."""
    removed = {}
    for name in set(removal.all("experiments")) & inheritance.experiments.keys():
        try:
            experiment = Experiment.model_validate(inheritance.inherited(name)).model_dump(by_alias=True)
            complete(name, experiment, settings["data"], inheritance)
        except ValueError:
            continue
        removed[name] = experiment
    return removed
