"""Configuration files in YAML 1.2, read strictly."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode

from nrc.text import shortened

__all__ = ["ConfigurationError", "read_texts", "read_yaml"]

TAG = "tag:yaml.org,2002:"
# Letters of a text in a message.
LONGEST = 100


class ConfigurationError(ValueError):
    """A mistake in the configuration, in one line: the key, its value and what is allowed."""

    def __init__(self, mistake: str) -> None:
        super().__init__(f"configuration: {mistake}")


class _Constructor(SafeConstructor):
    """Values of YAML 1.2; keys are texts, no key is given twice, and a date is a text."""

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[str, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if key.tag == f"{TAG}merge":
                continue
            if key.tag != f"{TAG}str":
                raise MarkedYAMLError(
                    problem=f"the key {shortened(key.value, LONGEST)} must be a text; put it in quotes",
                    problem_mark=key.start_mark,
                )
            if key.value in lines:
                raise MarkedYAMLError(
                    problem=f"the key {key.value} is given again after line {lines[key.value]}; keep one of "
                    "them",
                    problem_mark=key.start_mark,
                )
            lines[key.value] = key.start_mark.line + 1
        mapping: dict[str, Any] = super().construct_mapping(node, deep)
        return mapping

    def construct_float(self, node: ScalarNode) -> float | int:
        """1e3 is a whole number, 1.0 is not."""
        number: float = self.construct_yaml_float(node)
        if math.isinf(number) and "inf" not in node.value.lower():
            raise _too_large(node)
        return int(number) if "e" in node.value.lower() and number.is_integer() else number

    def construct_int(self, node: ScalarNode) -> int:
        """A whole number in the range of floating-point numbers."""
        try:
            number: int = self.construct_yaml_int(node)
            float(number)
        except (OverflowError, ValueError):  # Python reads at most some thousand digits
            raise _too_large(node) from None
        return number


def _too_large(node: ScalarNode) -> MarkedYAMLError:
    return MarkedYAMLError(
        problem=f"the number {shortened(node.value, 30)} is too large; the largest is 1.8e308",
        problem_mark=node.start_mark,
    )


_Constructor.add_constructor(f"{TAG}float", _Constructor.construct_float)
_Constructor.add_constructor(f"{TAG}int", _Constructor.construct_int)
for _name in ("timestamp", "value"):
    _Constructor.add_constructor(TAG + _name, _Constructor.construct_yaml_str)


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    return yaml


def read_yaml(file: str | Path) -> dict[str, Any]:
    """Read a file with a mapping; an empty file is an empty mapping.

    Raises
    ------
    ConfigurationError
        With the file and, if the parser reports it, the line.
    """
    where = str(file)
    try:
        content = _yaml().load(Path(file).read_text(encoding="utf-8"))
        json.dumps(content)
    except OSError as error:
        raise ConfigurationError(f"{where} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{where} is not a text file in UTF-8") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigurationError(
            f"{where}{line}: {shortened(error.problem or error.context or '', LONGEST)}"
        ) from None
    except YAMLError as error:
        raise ConfigurationError(f"{where} is not valid YAML: {shortened(error, LONGEST)}") from None
    except (TypeError, ValueError, RecursionError):  # a set, bytes, or a mapping within itself
        raise ConfigurationError(
            f"{where} must only contain texts, numbers, true, false, null, lists and mappings, none within "
            "itself"
        ) from None
    if content is not None and not isinstance(content, dict):
        raise ConfigurationError(
            f"{where} is {shortened(content, LONGEST)}, but must be a mapping of keys to values"
        )
    return content or {}


def read_texts(value: Any) -> Any:
    """Read every text in a value by the rules of YAML, because `snakemake --config` gives numbers as texts.

    Examples
    --------
    >>> read_texts({"sigma": ["0.1", "2e-1"], "bias": "true"})
    {'sigma': [0.1, 0.2], 'bias': True}
    """
    if isinstance(value, Mapping):
        return {key: read_texts(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [read_texts(item) for item in value]
    if not isinstance(value, str):
        return value
    yaml = _yaml()
    node = ScalarNode(yaml.resolver.resolve(ScalarNode, value, (True, False)), value)
    try:
        return yaml.constructor.construct_object(node, deep=True)
    except (YAMLError, ValueError):
        return value
