# Shared by all rules: the checked settings, and functions of the settings that rules use as inputs and parameters.

import hashlib
import json
import os
import sys
from functools import cache, partial
from inspect import signature
from pathlib import Path
from shlex import quote

if Path(workflow.basedir).resolve() != Path(str(workflow.current_basedir)).resolve().parents[1]:
    sys.exit(
        "Error: this Snakefile cannot be a module of another one, because it reads config.yaml beside it; run it "
        "with `snakemake --snakefile PATH/Snakefile --directory FOLDER`, and read its results there"
    )
sys.path.insert(0, workflow.basedir)
for name in [name for name in sys.modules if name.partition(".")[0] in ("nrc", "workflow")]:
    del sys.modules[
        name
    ]  # the logger plugin imports modules from where it is installed, maybe another folder

from nrc import kinds
from nrc.figures.options import by_title
from nrc.objectives.penalties import PENALTIES
from workflow.lib import paths, job_settings
from workflow.lib.code_digest import code_digest, summary_of
from workflow.lib.commit import commit_of
from workflow.lib.device import device_here
from workflow.lib.error_lines import error_line
from workflow.lib.job_order import experiment_order, job_priority
from workflow.config.compatibility import cube_of, names_of
from workflow.config.counterparts import centroid_counterpart, centroid_counterparts
from workflow.lib.paths import cube_file
from workflow.config.load import read_settings
from workflow.config.warm_starts import warm_start_of

ROOT = Path(os.path.relpath(workflow.basedir))
SCRIPTS = quote(str(ROOT / "workflow/scripts"))
ENVIRONMENT = "../../envs/nrc.yaml"


def or_exit(function, *arguments):
    """Call a function; a mistake in the configuration ends Snakemake with one line instead of a traceback."""
    try:
        return function(*arguments)
    except ValueError as mistake:
        sys.exit(error_line(mistake))


SETTINGS = or_exit(
    read_settings,
    [f"{workflow.basedir}/config.yaml", *workflow.overwrite_configfiles],
    workflow.config_settings.config,
)
EXPERIMENTS, DATA = SETTINGS["experiments"], SETTINGS["data"]
LOCAL_CORES = workflow.resource_settings.cores if workflow.resource_settings.nodes is None else None
# of a cluster only the machine of a job can say which device it has
ON_THIS_MACHINE = workflow.is_main_process and LOCAL_CORES is not None
if ON_THIS_MACHINE and SETTINGS["device"] == "auto":
    SETTINGS["device"] = device_here("auto")
if (
    workflow.is_main_process
    and not any(Path(".snakemake").glob("metadata/*"))
    and any(Path("results").rglob("*.nc"))
):
    logger.warning(
        "results/ has no records in .snakemake/metadata, so files are up to date by their times, whatever changed in the "
        "settings; copy .snakemake with the results, or take another --directory (docs/how-to/resume.md)"
    )
if workflow.is_main_process and SETTINGS["removed"]:
    logger.warning(SETTINGS["removed"])

# Programs run with the Python of Snakemake, whether an environment is activated or not, and with the library in this
# folder, whatever is installed. The checkpoint interval changes no result, and so it is not a parameter of jobs.
os.environ.update(
    PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    PYTHONPATH=workflow.basedir,
    NRC_CHECKPOINT_INTERVAL=str(SETTINGS["checkpoint_interval"]),
)
# conda environments do not contain this library, and would unset PYTHONPATH
workflow.deployment_settings.conda_not_block_search_path_envvars = True


def quick(function):
    """Give a function its signature, which Snakemake asks for with every job, and Python is slow to find."""
    function.__signature__ = signature(function)
    return function


def literal(value):
    """A value as a parameter; braces in a plain string would be wildcards."""
    return lambda wildcards: value


def code_of(program, *kinds):
    """Digest of the code of a program, with the modules that it loads by a name in its settings."""
    return code_digest(f"{workflow.basedir}/workflow/scripts/{program}", kinds)


def settings_json(part, *names, sort_keys=True):
    """The settings that a job depends on, as JSON; keys are sorted where their order does not matter."""
    return json.dumps(or_exit(part, *names, SETTINGS), sort_keys=sort_keys)


# of figures, claims and pages, which keep the order of the configuration
ordered_json = partial(settings_json, sort_keys=False)
measure_settings = cache(partial(settings_json, job_settings.measure_slice))


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
    """The trained networks from which the stack in a path starts; none if it starts from initial weights."""
    return or_exit(paths.start_files, wildcards.experiment, wildcards.cells, SETTINGS)


def measured_files(wildcards):
    """The measures of all stacks of the experiment in a path."""
    experiment = or_exit(paths.experiment_of, wildcards.experiment, SETTINGS)
    return paths.stack_files("measure", wildcards.experiment, experiment)


def counterpart_of(experiment):
    """The experiment that trains the same networks on centroids."""
    or_exit(paths.experiment_of, experiment, SETTINGS)
    return or_exit(centroid_counterpart, experiment, EXPERIMENTS)


def bundled_files(data, part):
    """The files of this project from which a fetched file of a data set is made."""
    folder = ROOT / "resources" / DATA[data]["kind"]
    return [str(folder / name) for name in paths.fetched(DATA[data])[part]]


def names_of_kind(kind):
    """A regular expression for the names of the data sets of a kind."""
    return "|".join(name for name, options in DATA.items() if options["kind"] == kind) or "(?!)"


def data_settings(wildcards):
    """The settings of a data set and of its seed, which is 0 for a kind without seeds."""
    seed = or_exit(paths.seed_of, wildcards.data, wildcards.seed) if "seed" in wildcards.keys() else 0
    return settings_json(job_settings.data_slice, wildcards.data, seed)


ORDER = experiment_order(SETTINGS)


@quick
def early(wildcards):
    """Priority of a job: the first figures come first, and of the stacks of an experiment the largest."""
    stack = stack_of(wildcards) if "cells" in wildcards.keys() else None
    return job_priority(ORDER, wildcards.experiment, stack)


@quick
def early_on_device(wildcards):
    """Priority of a training job; an error if its device does not exist.

    Snakemake asks for the priority of all jobs that will run before it removes the output of the first.
    """
    if ON_THIS_MACHINE:
        or_exit(device_here, SETTINGS["device"])
    return early(wildcards)


# Cores of a job with a stack: more than one if there are more cores than stacks. On a cluster
# --set-threads train_stack=N sets them.
STACKS = sum(len(paths.stack_files("train", *experiment)) for experiment in EXPERIMENTS.items())
STACK_THREADS = max(1, (LOCAL_CORES or 1) // max(1, STACKS))


@cache
def size_of(data):
    kind, options = kinds.parse("data", DATA[data])
    return kind.size(options)


@quick
def stack_memory(wildcards, attempt):
    """Megabytes of a job with a stack."""
    experiment = EXPERIMENTS[wildcards.experiment]
    return attempt * job_settings.memory(experiment, stack_of(wildcards), size_of(experiment["data"]))


# Each job has as a parameter a digest of everything from which its inputs were made. If an earlier job fails and
# Snakemake removes its output, the outputs of later jobs are then not up to date.


def digest_of(*parts):
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def data_by(data):
    """Digest of the settings and the code that make a data set, and of the contents of a file of the user."""
    kind, file = DATA[data]["kind"], DATA[data].get("file")
    contents = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else DATA[data].get("source")
    settings = job_settings.data_slice(data, 0, SETTINGS)
    return digest_of(settings, contents, code_of("make_data.py", f"nrc.data.{kind}"))


@cache
def networks_by(experiment):
    """Digest of everything from which the networks of an experiment are made, except the cell."""
    training = or_exit(job_settings.training_of_any, experiment, SETTINGS)
    start = warm_start_of(EXPERIMENTS[experiment])
    # of all methods and networks only those of the experiment
    method, network = training["training"]["method"]["name"], training["network"]["kind"]
    code = code_of("train.py", f"nrc.optimize.{method}", f"nrc.networks.{network}")
    before = networks_by(start) if start else None
    return digest_of(training, code, data_by(EXPERIMENTS[experiment]["data"]), before)


@cache
def measures_by(experiment):
    """Digest of everything from which the measures of an experiment are made, except the cell."""
    code = code_of("measure.py", f"nrc.networks.{EXPERIMENTS[experiment]['network']['kind']}")
    return digest_of(measure_settings(experiment), code, networks_by(experiment))


def stack_by(digest, wildcards):
    """Digest for the stack in a path: the digest for its experiment, and the cells from which it starts."""
    chain = or_exit(paths.warm_start_chain, wildcards.experiment, wildcards.cells, SETTINGS)
    return digest_of(digest(wildcards.experiment), chain) if chain else digest(wildcards.experiment)


def cube_by(experiment, cube="measures"):
    """Digest of everything from which a cube of an experiment is made."""
    if cube == "measures":
        return measures_by(experiment)
    both = (measures_by(experiment), measures_by(counterpart_of(experiment)))
    return digest_of(*both, code_of("compare_centroids.py"))


def about_figure(name, shows):
    """The entry of a figure in the report, where a switch chooses between drawing and numbers."""
    figure = SETTINGS["figures"][name]
    of = ", ".join(dict.fromkeys(names_of(figure["of"])))
    return {
        "caption": Path(f"results/figures/{name}.rst").absolute(),
        "category": "Figures",
        "labels": {"figure": name, "kind": figure["kind"].replace("_", " "), "of": of, "shows": shows},
    }


wildcard_constraints:
    data="[^/]+",
    experiment="[^/]+",
    seed="[0-9]+",
    # weight_decay~0.1/sigma~all/width~20/depth~4/seed~0, whose values the rules check
    cells=".+",


onstart:
    Path("results").mkdir(exist_ok=True)
    if not os.access("results", os.W_OK):
        sys.exit(
            error_line(
                "results/ cannot be written; give write permission there, or choose another --directory"
            )
        )


onerror:
    logger.info("", extra={"nrc": {"unfinished": True}})


# what snakemake_logger_plugin_nrc needs in addition to the events of Snakemake
if workflow.is_main_process:
    logger.info(
        f"{len(EXPERIMENTS)} experiments, {len(SETTINGS['figures'])} figures, {len(SETTINGS['claims'])} claims",
        extra={
            "nrc": {
                "settings": SETTINGS,
                "cores": LOCAL_CORES,
                "stack_of": stack_named,
                "size_of": size_of,
            }
        },
    )
