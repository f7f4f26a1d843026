"""Configurations for tests: texts laid over the project's own, and the line that refuses them."""

from contextlib import chdir
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from workflow.config import overlays
from workflow.config.load import ConfigurationError, read_settings
from workflow.config.yaml_files import read_yaml

PROJECT = Path(__file__).parents[2]
CONFIG = PROJECT / "config.yaml"
SCALES = PROJECT / "workflow/scales"

# hundreds of tests lay a text over config.yaml, which is parsed once for all of them
_parsed = cache(read_yaml)
overlays.read_yaml = lambda file: _parsed(CONFIG) if file == CONFIG else read_yaml(file)

# All that must be given, and no more.
SMALL = """
data:
  blobs: {kind: mixture, clusters: 2, points: 10, dimension: 3}
experiments:
  first:
    data: blobs
    grid: {weight_decay: [0.1], sigma: [0.5], width: [4], depth: [2]}
"""

# To be added to a configuration, with a task in place of TASK.
OWN = """
data: {mine: {kind: arrays, file: mine.npz}}
experiments:
  own:
    data: mine
    task: TASK
    network: {activation: relu, bias: true}
    grid: {weight_decay: [0.01, 0.1], width: [8], depth: [3]}
    training: {method: {name: adam, batch: 4}}
"""


@cache
def desk() -> dict[str, Any]:
    """The settings of config.yaml alone."""
    return read_settings([CONFIG])


def read(folder: Path, *texts: str, below: Path | None = CONFIG, overrides: Any = None) -> dict[str, Any]:
    """Settings of texts, each an overlay of those before it, read in a folder."""
    files = [below] if below else []
    for number, text in enumerate(texts):
        files.append(folder / f"{number}.yaml")
        files[-1].write_text(text, encoding="utf-8")
    with chdir(folder):
        return read_settings(files, overrides or {})


def refused(folder: Path, *texts: str, **options: Any) -> str:
    """The one line by which settings are refused, without its first word."""
    with pytest.raises(ConfigurationError) as error:
        read(folder, *texts, **options)
    line = str(error.value)
    assert line.startswith("configuration: ")
    assert "\n" not in line
    assert len(line) < 360
    return line.removeprefix("configuration: ")


def overlay(key: str, value: Any) -> str:
    """The text that sets a dotted key."""
    for name in reversed(key.split(".")):
        value = {name: value}
    return yaml.safe_dump(value)
