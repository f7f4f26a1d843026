# Shared by all rules: the checked settings, and what rules ask of them.

import gc
import json
import os
import sys
from functools import cache
from pathlib import Path
from shlex import quote

import workflow.layout as layout
from workflow.layout import stack_files
from workflow.settings import read_settings

# the Python that runs Snakemake also runs the scripts, in an activated environment or not
os.environ.update(PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")

# searching a growing graph of thousands of jobs for garbage would take a fifth of its planning
gc.disable()


onstart:
    gc.enable()
    Path("results").mkdir(exist_ok=True)
    if not os.access("results", os.W_OK):
        sys.exit(
            "Error: results/ cannot be written; give write permission there, or choose another --directory"
        )


ROOT = Path(os.path.relpath(workflow.basedir))


def or_exit(function, *arguments):
    """Call a function; a mistake of the user's ends Snakemake with its one line, not a traceback."""
    try:
        return function(*arguments)
    except ValueError as mistake:
        sys.exit(f"Error: {mistake}")


SETTINGS = or_exit(read_settings, config)
EXPERIMENTS = SETTINGS["experiments"]


# The scripts run this folder's library, the code that the rules declare, whatever is installed. The
# interval changes no result, so that it is no parameter of a rule.
shell.prefix(
    f"export PYTHONPATH={quote(workflow.basedir)} CHECKPOINT_INTERVAL={SETTINGS['checkpoint_interval']}; "
)


def names_of(kind):
    """A regular expression for the experiments on one kind of data."""
    return "|".join(name for name, experiment in EXPERIMENTS.items() if experiment["data"]["kind"] == kind)


# in the order in which the supplements draw them
RANKS = ["stable_rank", "numerical_rank", "effective_rank", "relative_distance", "mp_soft_rank"]


def other_ranks(figure):
    """The measures of rank that a figure does not draw."""
    return [name for name in RANKS if name != SETTINGS["figures"][figure]["rank"]]


CLASSIFIERS = names_of("mnist")
# any other name, so that an unknown one is told as such
MIXTURES = f"(?!(?:{CLASSIFIERS})/)[^/]+"


def code(*files):
    """A rule's script and the modules it imports: edit one of them and the rule runs again."""
    return [str(ROOT / file) for file in files]


def experiment_of(wildcards):
    """Settings of the experiment in a path."""
    return or_exit(layout.experiment_of, wildcards.experiment, SETTINGS)


@cache
def stack_at(experiment, cells):
    return or_exit(layout.stack_of, experiment, cells, SETTINGS)


def stack_of(wildcards):
    """The stack in a path."""
    return stack_at(wildcards.experiment, wildcards.cells)


def data_files(wildcards):
    """The data files of the stack in a path."""
    return layout.data_files(wildcards.experiment, experiment_of(wildcards), stack_of(wildcards).seeds)


def slice_of(wildcards, *keys, **extra):
    """The part of the configuration that a job depends on, as JSON."""
    experiment = experiment_of(wildcards)
    part = {key: experiment[key] if key in experiment else SETTINGS[key] for key in keys}
    return json.dumps({"experiment": wildcards.experiment, **part, **extra}, sort_keys=True)


def stack_memory(wildcards, attempt):
    """Megabytes of a training job: torch, then data, features and the memory of the method."""
    experiment, stack = experiment_of(wildcards), stack_of(wildcards)
    data, width, depth = experiment["data"], stack.axes["width"], stack.axes["depth"]
    images = data["kind"] == "mnist"
    points, inputs = (data["train_points"] or 60_000, 784) if images else (data["points"], data["dimension"])
    features = points * max(width, inputs) * (depth + 4)
    parameters = depth * width * max(width, inputs) * (2 * experiment["training"]["history"] + 10)
    return attempt * (1500 + round(len(stack) * (features + parameters) * 8 / 1e6))


wildcard_constraints:
    experiment="[^/]+",
    seed="[0-9]+",
    # weight_decay~0.1/sigma~all/width~20/depth~4/seed~0, whose values the rules check
    cells=".+",
