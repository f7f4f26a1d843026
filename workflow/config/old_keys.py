"""Keys and values of the previous release, and what replaces them. Delete this module at the next release."""

from collections.abc import Iterator, Mapping
from typing import Any

from workflow.config.mistakes import Mistake
from workflow.config.words import dotted, written

__all__ = ["old_keys"]

# By the place of a key, where * is any name, and for an old value the value behind an equals sign.
RENAMED = {
    "experiments.*.training.passes": "epochs",
    "experiments.*.training.look_every": "snapshot_every",
    "experiments.*.training.start": "warm_start",
    "experiments.*.training.method.plain": "plain_epochs",
    "experiments.*.training.method.name=lm": "levenberg_marquardt",
    "figures.*.shown": "weight_decays",
    "claims.*.says": "statement",
    "claims.*.least": "at_least",
    "claims.*.most": "at_most",
}
REMOVED = {
    "experiments.*.training.wall_clock": "limit epochs, which do not depend on the speed of the machine",
    "experiments.*.network.gain": "leave it out; initial weights have variance 1 / fan-in",
    "experiments.*.measures.tcv_lower": "leave it out; the lower end of the TCV bracket is the spectral one",
    "measures.tcv_lower": "leave it out; the lower end of the TCV bracket is the spectral one",
    "data.*.mirrors": "leave it out, or download the images yourself and write source: folder",
    "data.*.covariance=diagonal": "write full or isotropic",
}


def old_keys(content: Mapping[str, Any]) -> Iterator[Mistake]:
    """Old keys and values in a configuration."""
    for place, new in RENAMED.items():
        yield from (
            Mistake(path, f"{words} was renamed; write {new}") for path, words in _found(place, content)
        )
    for place, advice in REMOVED.items():
        yield from (Mistake(path, f"{words} was removed; {advice}") for path, words in _found(place, content))


def _found(place: str, content: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    """The paths at which a configuration has the key or the value, and how it is written."""
    place, _, old = place.partition("=")
    found: list[tuple[tuple[str, ...], Any]] = [((), content)]
    for key in place.split("."):
        found = [
            ((*path, name), value[name])
            for path, value in found
            if isinstance(value, Mapping)
            for name in (value if key == "*" else [key])
            if name in value
        ]
    for path, value in found:
        if not old or value == old:
            yield path, f"{dotted(path)}: {written(value)}" if old else dotted(path)
