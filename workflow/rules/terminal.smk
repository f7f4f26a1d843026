# What a run shows, and what it brought: no rule of its own.

import time

from snakemake.settings.enums import Quietness, RerunTrigger

from workflow.lib.changed_settings import Changed, changed_keys, in_lines, settings_among
from workflow.lib.progress import Job, Progress, duration
from workflow.lib.closing_summary import summary
from workflow.lib.terminal import DryRun, Terminal, why_failed

BEGAN = time.time()
QUIET = set(workflow.output_settings.quiet or ())
PROGRESS_SHOWN = not QUIET & {Quietness.ALL, Quietness.PROGRESS}


def terminal():
    """What takes the place of Snakemake's own output, unless that is asked for."""
    output = workflow.output_settings
    if not workflow.is_main_process or Quietness.ALL in QUIET:
        return None
    if output.dryrun:
        return DryRun.of(logger, changes)
    if output.verbose or output.debug_dag or output.printshellcmds or Quietness.RULES not in QUIET:
        return None
    return Terminal.of(logger, what_there_is, PROGRESS_SHOWN)


def changes(number=None):
    """Lines on the settings that differ from those of what is to be made again: of all jobs, or of one."""
    found = all_differences()
    if number is not None:
        found = {job: keys for job, keys in found.items() if workflow.dag.jobid(job) == number}
    way = {job: before(job) for job in found}
    return in_lines(
        Changed(job.rule.name, found[job])
        for job in sorted(way, key=lambda job: (len(way[job]), job.rule.name))
        # what only follows from other settings, or from files that are made anew, goes without saying
        if found[job] or not any(found.get(other, True) for other in way[job] if workflow.dag.needrun(other))
    )


@cache
def all_differences():
    """Of every job to run whose parameters differ from the recorded ones the keys of the configuration."""
    if RerunTrigger.PARAMS not in workflow.rerun_triggers:
        return {}
    planned = workflow.dag.needrun_jobs(exclude_finished=False)
    return {job: keys for job in planned if (keys := differences(job)) is not None}


def differences(job):
    """Keys of the configuration that differ from those recorded for a job, None if nothing differs."""
    if not (change := workflow.persistence.params_changed(job)):
        return None
    name = job.wildcards_dict.get("experiment") or job.wildcards_dict.get("data") or ""
    old, new = settings_among(change.only_old), settings_among(change.only_new)
    return changed_keys(job.rule.name, name, old, new, DATA_OF)


def before(job):
    """All jobs that lead to a job."""
    found, left = set(), [job]
    while left:
        new = set(workflow.dag.dependencies[left.pop()]) - found
        found |= new
        left += new
    return found


def what_there_is(title="All that was asked for is there."):
    """The summary of all that was asked for and is up to date."""
    dag = workflow.dag
    there = [job for job in dag.jobs if dag.finished(job) or not dag.needrun(job)]
    asked = [(job.rule.name, list(job.output)) for job in there]
    of, collected = dict(asked), {output[0] for rule, output in asked if rule == "collect"}
    try:
        return summary(
            title,
            figures=[of[f"plot_{name}"][0] for name in SETTINGS["figures"] if f"plot_{name}" in of],
            cubes={name: path for name in EXPERIMENTS if (path := cube_file(name)) in collected},
            claims=of.get("judge_claims", [None])[0],
            audit=of.get("audit", [None])[0],
            pages=[of[rule][0] for rule in ("summarise", "explorer") if rule in of],
        )
    except Exception as error:  # files that are damaged are no reason to fail
        return f"{title}\n  There is no summary: {error}"


def jobs_to_run():
    """The jobs of this run, by number."""
    return {workflow.dag.jobid(job): for_progress(job) for job in workflow.dag.needrun_jobs() if job.output}


def for_progress(job):
    """What progress knows of a job."""
    known = Job(job.rule.name, *(str(next(iter(files), "")) for files in (job.output, job.log)))
    if job.rule.name not in ("train_stack", "measure"):
        return known
    stack, size = stack_of(job.wildcards), size_of(EXPERIMENTS[job.wildcards.experiment]["data"])
    numbers = size.points * max(stack.axes["width"], size.features)
    return known._replace(cells=len(stack), numbers=numbers)


DATA_OF = {name: experiment["data"] for name, experiment in EXPERIMENTS.items()}
TERMINAL = terminal()
# what programs write would fall into the bar; the errors in their logs are shown above it
os.environ.update(NRC_ERRORS="log" if isinstance(TERMINAL, Terminal) else "terminal")


def told_at_the_end(title, failed=()):
    """Show the errors, where people look, and the summary."""
    if isinstance(TERMINAL, Terminal):
        TERMINAL.end()
    for log, why in failed:
        if isinstance(TERMINAL, Terminal):
            TERMINAL.tell(log, why)
        else:
            print(f"Error: {why}\n  log: {log}", file=sys.stderr)
    if PROGRESS_SHOWN and not workflow.touch:
        print(what_there_is(title), file=sys.stderr)


onstart:
    Path("results").mkdir(exist_ok=True)
    if not os.access("results", os.W_OK):
        sys.exit(
            "Error: results/ cannot be written; give write permission there, or choose another --directory"
        )
    if isinstance(TERMINAL, Terminal) and not workflow.touch:
        TERMINAL.begin(changes, lambda: Progress(jobs_to_run()))


onsuccess:
    told_at_the_end(f"Done in {duration(time.time() - BEGAN)}.")


onerror:
    logs = sorted(map(str, Path("results/logs").rglob("*.log")))
    failed = [(log, why) for log in logs if (why := why_failed(log, BEGAN))]
    jobs = f": {len(failed)} job{'s' * (len(failed) > 1)} failed" if failed else ""
    told_at_the_end(
        f"Not done{jobs}. Mend what is said above; the same command then goes on from what is there.",
        failed,
    )
