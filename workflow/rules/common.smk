# Shared by all rules: the checked settings, and what rules ask of them.

import atexit
import gc
import hashlib
import json
import os
import sys
from functools import cache, partial
from inspect import signature
from pathlib import Path
from shlex import quote

sys.path.insert(0, workflow.basedir)

from nrc.data import kind as data_kind
from workflow.lib import paths, job_settings
from workflow.lib.code_digest import code_digest, summary_of
from workflow.lib.commit import commit_of
from workflow.config.compatibility import names_of, centroid_counterparts
from workflow.lib.paths import cube_file
from workflow.config.load import cube_of_claim, cube_of_figure, read_settings, centroid_counterpart
from workflow.config.warm_starts import start_of

ROOT = Path(os.path.relpath(workflow.basedir))
SCRIPTS = quote(str(ROOT / "workflow/scripts"))
ENVIRONMENT = "../../envs/nrc.yaml"

# searching a growing graph of thousands of jobs for garbage would take a fifth of its planning, and once
# more at the end a tenth
gc.disable()
atexit.register(gc.freeze)


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


def settings_json(part, *names):
    """What a job depends on, as JSON: a slice of the settings, sorted where their order tells nothing."""
    told = part in (job_settings.claims_slice, job_settings.figure_slice, job_settings.summary_slice, job_settings.explorer_slice)
    return json.dumps(or_exit(part, *names, SETTINGS), sort_keys=not told)


@cache
def stack_named(experiment, cells):
    return or_exit(paths.stack_of, experiment, cells, SETTINGS)


def stack_of(wildcards):
    """The stack in a path."""
    return stack_named(wildcards.experiment, wildcards.cells)


@quick
def data_files(wildcards):
    """The data files of the stack in a path."""
    seeds = stack_of(wildcards).seeds
    return paths.data_files(EXPERIMENTS[wildcards.experiment]["data"], seeds, SETTINGS)


@quick
def start_files(wildcards):
    """The trained networks that those in a path start from, if they do not from initial weights."""
    return or_exit(paths.start_files, wildcards.experiment, wildcards.cells, SETTINGS)


@quick
def measured_files(wildcards):
    """The measures of all stacks of the experiment in a path."""
    experiment = or_exit(paths.experiment_of, wildcards.experiment, SETTINGS)
    return paths.stack_files("measure", wildcards.experiment, experiment)


@quick
def counterpart_file(wildcards):
    """The cube of the same networks as in a path, but trained on centroids."""
    or_exit(paths.experiment_of, wildcards.experiment, SETTINGS)
    return cube_file(counterpart_of(wildcards.experiment))


def counterpart_of(experiment):
    """The same experiment, but trained on centroids."""
    return or_exit(centroid_counterpart, experiment, EXPERIMENTS)


# experiments in the order in which figures ask for them
ORDER = list(dict.fromkeys(e for f in SETTINGS["figures"].values() for e in names_of(f["of"])))


@quick
def early(wildcards):
    """Priority of a job: what the first figures need comes first."""
    return len(ORDER) - ORDER.index(wildcards.experiment) if wildcards.experiment in ORDER else 0


@cache
def stack_threads():
    """Cores for a job with a stack: more than one where there are more than stacks."""
    stacks = sum(len(paths.stack_files("train", *experiment)) for experiment in EXPERIMENTS.items())
    # on a cluster a job has what --set-threads train_stack=N asks for
    return max(1, workflow.cores // stacks) if workflow.local_exec else 1


@cache
def size_of(data):
    options = dict(DATA[data])
    return data_kind(options.pop("kind")).size(options)


@quick
def stack_memory(wildcards, attempt):
    """Megabytes of a job with a stack."""
    experiment = EXPERIMENTS[wildcards.experiment]
    return attempt * job_settings.memory(experiment, stack_of(wildcards), size_of(experiment["data"]))


measure_settings = cache(partial(settings_json, job_settings.measure_slice))


# A job depends on all that its inputs were made by, not on its inputs alone: where one before it failed, and
# Snakemake removed its output, what lies behind must not pass for up to date.


@cache
def data_by(data):
    """Digest of what a data set is made by: settings, code, and the contents of a file of one's own."""
    kind, file = DATA[data]["kind"], DATA[data].get("file")
    contents = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else DATA[data].get("source")
    settings = job_settings.data_slice(data, 0, SETTINGS)
    return digest_of(settings, contents, code_of("make_data.py", f"nrc.data.{kind}"))


@cache
def networks_by(experiment):
    """Digest of what the networks of an experiment are made by, whatever the cell."""
    training = or_exit(job_settings.training_of_any, experiment, SETTINGS)
    start = start_of(EXPERIMENTS[experiment])
    # of all methods the experiment's alone
    code = code_of("train.py", f"nrc.optimize.{training['training']['method']['name']}")
    before = networks_by(start) if start else None
    return digest_of(training, code, data_by(EXPERIMENTS[experiment]["data"]), before)


@cache
def measures_by(experiment):
    """Digest of what the measures of an experiment are made by, whatever the cell."""
    return digest_of(measure_settings(experiment), code_of("measure.py"), networks_by(experiment))


def stack_by(whole, wildcards):
    """Digest of what the stack in a path is made by: with the whole experiment's the cells that led there."""
    way = or_exit(paths.way_to, wildcards.experiment, wildcards.cells, SETTINGS)
    return digest_of(whole(wildcards.experiment), way) if way else whole(wildcards.experiment)


def cube_by(experiment, cube="measures"):
    """Digest of what a cube of an experiment is made by."""
    if cube == "measures":
        return measures_by(experiment)
    both = (measures_by(experiment), measures_by(counterpart_of(experiment)))
    return digest_of(*both, code_of("compare_centroids.py"))


def digest_of(*parts):
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@quick
def data_settings(wildcards):
    """A data set of a seed, of 0 where it knows none."""
    seed = or_exit(paths.seed_of, wildcards.data, wildcards.seed) if "seed" in wildcards.keys() else 0
    return settings_json(job_settings.data_slice, wildcards.data, seed)


def about_figure(name, shows):
    """What the report says of a figure: beside its drawing stand its numbers, at a switch."""
    figure = SETTINGS["figures"][name]
    of = ", ".join(dict.fromkeys(names_of(figure["of"])))
    return {
        "caption": Path(f"results/figures/{name}.rst").absolute(),
        "category": "Figures",
        "labels": {"figure": name, "kind": figure["kind"].replace("_", " "), "of": of, "shows": shows},
    }


def no_figure(wildcards):
    """End Snakemake: the configuration has no figure of the name in a path."""
    or_exit(paths.figure_of, wildcards.figure, SETTINGS)


def data_names(kind):
    """A regular expression for the data sets of a kind."""
    return "|".join(name for name, options in DATA.items() if options["kind"] == kind) or "(?!)"


wildcard_constraints:
    data="[^/]+",
    experiment="[^/]+",
    seed="[0-9]+",
    # weight_decay~0.1/sigma~all/width~20/depth~4/seed~0, whose values the rules check
    cells=".+",
