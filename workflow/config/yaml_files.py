"""Configuration files in YAML, read strictly, and merged in order."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

__all__ = ["SECTIONS", "ConfigurationError", "Written", "merge_files", "merged", "read_leaves", "read_yaml"]

# What an overlay drops by `NAME: null` is an entry of one of these, but for the names beside them.
SECTIONS = {"data": (), "experiments": (), "figures": ("style",), "claims": ("level",)}

# A map that says another of these is another thing, and nothing of it is kept.
KINDS = ("kind", "name", "statistic")

# YAML 1.1 reads 1e-4 as text: a number in this notation needs a dot and a sign there.
EXPONENT_NUMBER = re.compile(r"[-+]?(\d[\d_]*\.?\d*|\.\d+)[eE][-+]?\d+$")


class ConfigurationError(ValueError):
    """A mistake in the configuration, told in one line: key, value, what is allowed."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML without what surprises: keys that stand twice, keys that are no text, dates."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.tag != "tag:yaml.org,2002:str":
                raise yaml.MarkedYAMLError(
                    problem=f"a key must be text, and {_shown(key.value)} is not; put it in quotes",
                    problem_mark=key.start_mark,
                )
            if key.value in lines:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value} stands here again, first in line {lines[key.value]}; keep one",
                    problem_mark=key.start_mark,
                )
            lines[key.value] = line
        return super().construct_mapping(node, deep)


def _float(loader: _Loader, node: yaml.ScalarNode) -> float | int:
    number = loader.construct_yaml_float(node)
    return int(number) if "e" in node.value.lower() and number.is_integer() else number


_Loader.yaml_implicit_resolvers = {
    first: [rule for rule in rules if not rule[0].endswith(":timestamp")]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT_NUMBER, list("-+.0123456789"))
_Loader.add_constructor("tag:yaml.org,2002:float", _float)
# as a whole, not in two steps, so that a map within itself is a mistake and not an endless one
_Loader.add_constructor("tag:yaml.org,2002:map", lambda loader, node: loader.construct_mapping(node, True))
_Loader.add_constructor("tag:yaml.org,2002:seq", lambda loader, node: loader.construct_sequence(node, True))


def read_yaml(file: str | Path) -> dict[str, Any]:
    """The mapping in a file, empty if the file is.

    Raises
    ------
    ConfigurationError
        With the file and, where there is one, the line.
    """
    where = f"configuration: {file}"
    try:
        content = yaml.load(Path(file).read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise ConfigurationError(f"{where} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{where} is no text; it must be a YAML file in UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{where}{line}: {_one_line(error.problem or error.context)}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{where} is no YAML: {_one_line(error)}") from None
    if content is not None and not isinstance(content, dict):
        raise ConfigurationError(
            f"{where} holds {_shown(content)}, but must hold a mapping of keys to values"
        )
    return content or {}


def read_leaves(value: Any) -> Any:
    """The same with every text read again by YAML's rules: `snakemake --config` gives numbers as text."""
    if isinstance(value, Mapping):
        return {key: read_leaves(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [read_leaves(item) for item in value]
    if not isinstance(value, str):
        return value
    loader = _Loader("")
    node = yaml.ScalarNode(loader.resolve(yaml.ScalarNode, value, (True, False)), value)
    try:
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError):
        return value


def merged(base: Any, changes: Any) -> Any:
    """Changes over a base, key by key; a map of another kind, or what is no map, takes its place whole."""
    if not isinstance(changes, dict):
        return [merged(None, item) for item in changes] if isinstance(changes, list) else changes
    if not isinstance(base, dict) or _another_kind(base, changes):
        base = {}
    return {
        key: merged(base.get(key), changes[key]) if key in changes else merged(None, base[key])
        for key in [*base, *(key for key in changes if key not in base)]
    }


class Written:
    """What the files say, one over the other.

    Attributes
    ----------
    content : dict
        With the entries that were dropped, as they were before.
    dropped : dict
        For each section the names of the entries that were dropped, in their order.
    """

    def __init__(self) -> None:
        self.content: dict[str, Any] = {}
        self.dropped: dict[str, list[str]] = {section: [] for section in SECTIONS}

    def add(self, layer: Mapping[str, Any], *, first: bool) -> None:
        """Lay a file over those before it."""
        layer = dict(layer)
        for section, reserved in SECTIONS.items():
            entries, known = layer.get(section), self.content.get(section)
            known = known if isinstance(known, dict) else {}
            if section in layer and entries is None:  # a section without entries drops those it has
                entries = dict.fromkeys(name for name in known if name not in reserved)
            if not isinstance(entries, dict):
                continue
            for name, entry in entries.items():
                if entry is None and name not in reserved:
                    self._drop(section, name, known, first)
                elif name in self.dropped[section]:
                    self.dropped[section].remove(name)
                    known.pop(name, None)
            layer[section] = {
                name: entry for name, entry in entries.items() if entry is not None or name in reserved
            }
        self.content = merged(self.content, layer)

    def _drop(self, section: str, name: str, known: Mapping[str, Any], first: bool) -> None:
        if name not in known and name not in self.dropped[section] and not first:
            raise ConfigurationError(
                f"configuration: {section}.{name} is null, which drops it, but there is none; "
                f"there are {', '.join(known) or 'no others'}"
            )
        if name not in self.dropped[section]:
            self.dropped[section].append(name)


def merge_files(files: Sequence[str | Path], overrides: Mapping[str, Any]) -> Written:
    """The files in order, then the overrides, merged.

    Raises
    ------
    ConfigurationError
        If a file cannot be read, or drops what is not there.
    """
    written = Written()
    for number, file in enumerate(files):
        written.add(read_yaml(file), first=number == 0)
    written.add(read_leaves(overrides), first=False)
    return written


def _another_kind(base: Mapping[str, Any], changes: Mapping[str, Any]) -> bool:
    return any(
        isinstance(base.get(key), str) and isinstance(changes.get(key), str) and base[key] != changes[key]
        for key in KINDS
    )


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def _shown(value: Any) -> str:
    text = _one_line(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
