# What a run shows, and what it brought: no rule of its own.

import time

from snakemake.settings.enums import Quietness

from pipeline.changes import Changed, changed_keys, in_lines, settings_among
from pipeline.progress import Job, Progress, duration
from pipeline.summary import summary
from pipeline.terminal import DryRun, Terminal, why_failed

BEGAN = time.time()


def terminal():
    """What takes the place of Snakemake's own output, unless that is asked for."""
    output = workflow.output_settings
    quiet = set(output.quiet or ())
    if not workflow.is_main_process or Quietness.ALL in quiet:
        return None
    if output.dryrun:
        return DryRun.of(logger, changes)
    if output.verbose or output.debug_dag or output.printshellcmds or Quietness.RULES not in quiet:
        return None
    return Terminal.of(logger, what_there_is)


def changes(number=None):
    """Lines on the settings that differ from those of what is to be made again: of all jobs, or of one."""
    jobs = {workflow.dag.jobid(job): job for job in workflow.dag.needrun_jobs(exclude_finished=False)}
    return in_lines(
        Changed(job.rule.name, differences(job, change))
        for job in (jobs.values() if number is None else [jobs[number]])
        if (change := workflow.dag.reason(job).params_changed)
    )


def differences(job, change):
    name = job.wildcards_dict.get("experiment") or job.wildcards_dict.get("data") or ""
    old, new = settings_among(change.only_old), settings_among(change.only_new)
    return changed_keys(job.rule.name, name, old, new, DATA_OF)


def what_there_is(title="All that was asked for is there."):
    """The summary of all that was asked for, made now or before."""
    asked = [(job.rule.name, list(job.output)) for job in workflow.dag.jobs]
    of = {rule: output for rule, output in asked}
    return summary(
        title,
        figures=[output[0] for rule, output in asked if rule.startswith("plot_")],
        cubes={Path(output[0]).parent.name: output[0] for rule, output in asked if rule == "collect"},
        claims=of.get("judge_claims", [None])[0],
        audit=of.get("audit", [None])[0],
    )


def jobs_to_run():
    """The jobs of this run, by number."""
    return {
        workflow.dag.jobid(job): Job(
            job.rule.name,
            *(str(next(iter(files), "")) for files in (job.output, job.log)),
            len(stack_of(job.wildcards)) if job.rule.name in ("train_stack", "measure") else 0,
        )
        for job in workflow.dag.needrun_jobs()
        if job.output
    }


DATA_OF = {name: experiment["data"] for name, experiment in EXPERIMENTS.items()}
TERMINAL = terminal()
# what programs write would fall into the bar; the errors in their logs are shown above it
os.environ["NRC_ERRORS"] = "log" if isinstance(TERMINAL, Terminal) else "terminal"


def told_at_the_end(title, failed=()):
    """Show the errors, where people look, and the summary."""
    if isinstance(TERMINAL, Terminal):
        TERMINAL.end()
    for log, why in failed:
        if isinstance(TERMINAL, Terminal):
            TERMINAL.tell(log, why)
        else:
            print(f"Error: {why}\n  log: {log}", file=sys.stderr)
    if not workflow.touch and not set(workflow.output_settings.quiet) & {Quietness.ALL, Quietness.PROGRESS}:
        print(what_there_is(title), file=sys.stderr)


onstart:
    gc.enable()
    Path("results").mkdir(exist_ok=True)
    if not os.access("results", os.W_OK):
        sys.exit(
            "Error: results/ cannot be written; give write permission there, or choose another --directory"
        )
    if isinstance(TERMINAL, Terminal) and not workflow.touch:
        for line in changes():
            TERMINAL.write(line)
        progress = Progress(jobs_to_run())
        TERMINAL.write(progress.plan)
        if Quietness.PROGRESS not in workflow.output_settings.quiet:
            TERMINAL.begin(progress)


onsuccess:
    told_at_the_end(f"Done in {duration(time.time() - BEGAN)}.")


onerror:
    logs = sorted(map(str, Path("results/logs").rglob("*.log")))
    failed = [(log, why) for log in logs if (why := why_failed(log, BEGAN))]
    told_at_the_end(f"Not done: {len(failed)} jobs failed; run again, and what is there is kept.", failed)
