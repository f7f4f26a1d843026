# Shared by all rules: the checked settings, and what rules ask of them.

import json
import os
import sys
from pathlib import Path

from workflow.layout import CELLS, data_files, experiment_of, stack_files, stack_of
from workflow.settings import read_settings

# the Python that runs Snakemake also runs the scripts, in an activated environment or not
os.environ.update(PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")

ROOT = Path(os.path.relpath(workflow.basedir))
SETTINGS = read_settings(config)
EXPERIMENTS = SETTINGS["experiments"]


def code(*files):
    """A rule's script and the modules it imports: edit one of them and the rule runs again."""
    return [str(ROOT / file) for file in files]


def slice_of(wildcards, *keys, **extra):
    """The part of the configuration that a job depends on, as JSON."""
    experiment = experiment_of(wildcards, SETTINGS)
    part = {key: experiment[key] if key in experiment else SETTINGS[key] for key in keys}
    return json.dumps({"experiment": wildcards.experiment, **part, **extra}, sort_keys=True)


def stack_memory(wildcards, attempt):
    """Megabytes of a training job: torch, then data, features and the memory of the method."""
    experiment, stack = experiment_of(wildcards, SETTINGS), stack_of(wildcards, SETTINGS)
    data, width, depth = experiment["data"], stack.axes["width"], stack.axes["depth"]
    features = data["points"] * max(width, data["dimension"]) * (depth + 4)
    parameters = depth * max(width, data["dimension"]) ** 2 * (2 * experiment["training"]["history"] + 10)
    return attempt * (1500 + round(len(stack) * (features + parameters) * 8 / 1e6))


wildcard_constraints:
    experiment="[^/]+",
    weight_decay="[^/]+",
    sigma="[^/]+",
    width="[^/]+",
    depth="[^/]+",
    seed="[^/]+",
