# Shared by all rules: the checked settings, and what rules ask of them.

import atexit
import gc
import json
import os
import sys
from functools import cache
from inspect import signature
from pathlib import Path
from shlex import quote

sys.path[:0] = [workflow.basedir, f"{workflow.basedir}/workflow/scripts"]

from nrc import data as data_kinds
from pipeline import layout
from pipeline.code import code_digest, summary_of
from pipeline.drawn import twins
from pipeline.layout import cube_file, stack_files
from pipeline.settings import cube_of_claim, cube_of_figure, read_settings, twin_on_centroids

ROOT = Path(os.path.relpath(workflow.basedir))
SCRIPTS = quote(str(ROOT / "workflow/scripts"))
ENVIRONMENT = "../../envs/nrc.yaml"

# searching a growing graph of thousands of jobs for garbage would take a fifth of its planning, and once
# more at the end a tenth
gc.disable()
atexit.register(gc.freeze)


onstart:
    gc.enable()
    Path("results").mkdir(exist_ok=True)
    if not os.access("results", os.W_OK):
        sys.exit(
            "Error: results/ cannot be written; give write permission there, or choose another --directory"
        )


def or_exit(function, *arguments):
    """Call a function; a mistake of the user's ends Snakemake with its one line, not a traceback."""
    try:
        return function(*arguments)
    except ValueError as mistake:
        sys.exit(f"Error: {mistake}")


SETTINGS = or_exit(
    read_settings,
    [f"{workflow.basedir}/config.yaml", *workflow.overwrite_configfiles],
    workflow.config_settings.config,
)
EXPERIMENTS, DATA = SETTINGS["experiments"], SETTINGS["data"]
if workflow.is_main_process and SETTINGS["dropped"]:
    logger.info(SETTINGS["dropped"])

# The Python that runs Snakemake also runs the programs, in an activated environment or not, and they run
# this folder's library, whatever is installed. The interval changes no result, and is no parameter.
os.environ.update(
    PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    PYTHONPATH=workflow.basedir,
    NRC_CHECKPOINT_INTERVAL=str(SETTINGS["checkpoint_interval"]),
)
# conda environments have no library of ours, and would unset PYTHONPATH
workflow.deployment_settings.conda_not_block_search_path_envvars = True


def quick(function):
    """Give a function its signature, which Snakemake asks for with every job and Python is slow to find."""
    function.__signature__ = signature(function)
    return function


def as_it_is(text):
    """Text as a parameter: braces in a plain one would be wildcards."""
    return quick(lambda wildcards: text)


def code_of(program, *kinds):
    """Digest of a program's code, with the modules that it loads by a name in its settings."""
    return code_digest(f"{workflow.basedir}/workflow/scripts/{program}", kinds)


def experiment_named(name):
    """Settings of the experiment in a path."""
    return or_exit(layout.experiment_of, name, SETTINGS)


@cache
def stack_named(experiment, cells):
    return or_exit(layout.stack_of, experiment, cells, SETTINGS)


def stack_of(wildcards):
    """The stack in a path."""
    return stack_named(wildcards.experiment, wildcards.cells)


@quick
def data_files(wildcards):
    """The data files of the stack in a path."""
    return layout.data_files(experiment_named(wildcards.experiment), stack_of(wildcards).seeds, SETTINGS)


def data_options(name):
    """What a data set is, as files tell it: where its bytes come from is no part of it."""
    places = ("source", "folder", "mirrors", "file")
    return {key: value for key, value in DATA[name].items() if key not in places}


def slice_of(experiment, *keys, **extra):
    """The part of an experiment's settings that a job depends on, as JSON."""
    part = {key: experiment_named(experiment)[key] for key in keys}
    return json.dumps({"experiment": experiment, **part, **extra}, sort_keys=True)


@quick
def whole_of(wildcards):
    """All settings of an experiment, as JSON."""
    settings = experiment_named(wildcards.experiment)
    options = data_options(settings["data"])
    return slice_of(
        wildcards.experiment, *settings.keys() - {"data"}, data=options, device=SETTINGS["device"]
    )


@cache
def size_of(data):
    options = {key: value for key, value in DATA[data].items() if key != "kind"}
    return data_kinds.kind(DATA[data]["kind"]).size(options)


@quick
def stack_memory(wildcards, attempt):
    """Megabytes of a job with a stack: torch, then data, features and the memory of the method."""
    experiment, stack = experiment_named(wildcards.experiment), stack_of(wildcards)
    size, width, depth = size_of(experiment["data"]), stack.axes["width"], stack.axes["depth"]
    widest = max(width, size.features, size.outputs or 0)
    features = size.points * widest * (depth + 4)
    parameters = depth * width * widest * (2 * experiment["training"]["method"].get("history", 10) + 10)
    return attempt * (1500 + round(len(stack) * (features + parameters) * 8 / 1e6))


wildcard_constraints:
    data="[^/]+",
    experiment="[^/]+",
    seed="[0-9]+",
    # weight_decay~0.1/sigma~all/width~20/depth~4/seed~0, whose values the rules check
    cells=".+",
