"""What a run prints: on a terminal, in a log, in a dry run, and when something goes wrong."""

import io
import logging
import os
import re
import sys
from types import SimpleNamespace

import pytest
from snakemake.settings.enums import Quietness

from nrc.text import STOPPED
from snakemake_logger_plugin_nrc import LogHandler, terminal
from support.checkout import digests
from support.terminals import in_terminal, lines_left
from workflow.lib.error_lines import last_error

COLUMNS = "results/mixture/measure/weight_decay~all/sigma~{}/width~4/depth~3/seed~0.nc"
CHATTER = (
    "jobs to execute",
    "Finished jobid",
    "steps (",
    "Using shell",
    "Building DAG",
    "ignored",
    "localrule",
)


@pytest.fixture
def logger(monkeypatch):
    """A function that takes the words of `--quiet`, and returns a function that logs and one that ends the run."""
    monkeypatch.setenv("NRC_ERRORS", "terminal")

    def make(*quiet):
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        words = [Quietness.parse_choice(word) for word in quiet]
        flags = ("printshellcmds", "nocolor", "debug_dag", "verbose", "show_failed_logs", "stdout", "dryrun")
        handler = LogHandler(SimpleNamespace(quiet=words, **dict.fromkeys(flags, False)), None)

        def log(text="", event=None, level="INFO", **extra):
            handler.handle(logging.makeLogRecord({"msg": text, "levelno": getattr(logging, level), "event": event, **extra}))  # fmt: skip
            return stream.getvalue()

        log(event="workflow_started")
        return log, lambda: handler.close() or stream.getvalue()

    return make


def test_warnings_and_errors_are_printed_and_chatter_is_not(logger):
    log, end = logger("rules", "host")
    log("Building DAG of jobs...")
    log("the disk is slow", level="WARNING")
    assert (
        log("MissingInputException", event="error", level="ERROR")
        == "the disk is slow\nMissingInputException\n"
    )
    assert end().count("\n") == 2


@pytest.mark.parametrize("quiet", [["all"], ["progress", "rules"]])
def test_a_quiet_run_prints_at_most_errors(logger, quiet):
    log, end = logger(*quiet)
    log(event="run_info", stats={"collect": 1, "total": 1})
    log(event="job_error", jobid=3, rule_name="collect", output=["a.nc"], log=[], rule_msg="no room")
    printed = "Error: collect of a.nc failed: no room\n  log: none\n\nNot done: 1 job failed. Fix the errors above; the same command then continues.\n"  # fmt: skip
    assert end() == ("" if quiet == ["all"] else printed)


def test_lines_without_a_terminal_come_now_and_then(logger, monkeypatch):
    monkeypatch.setattr(terminal, "SECONDS_BETWEEN_LINES", 0.01)
    log, end = logger("rules")
    log(event="run_info", stats={"collect": 1, "audit": 1, "total": 2})
    log(event="job_info", jobid=3, rule_name="collect", output=["a.nc"], log=["a.log"], wildcards={})
    log(event="job_finished", job_id=3)
    while "1/2 jobs" not in sys.stderr.getvalue():
        pass
    plan, *lines, _, stopped = end().splitlines()
    assert (plan, stopped) == ("2 jobs to run", "Stopped; run again to continue.")
    assert re.fullmatch(r"\[\d\d:\d\d:\d\d\] 50%: 1/2 jobs", lines[-1])
    assert len(lines) <= 2, "a line is printed only if it differs from the one before it"


def test_the_cause_of_a_failed_job_is_printed_once(logger, tmp_path):
    file = tmp_path / "job.log"
    log, end = logger("rules")
    log(event="run_info", stats={"measure": 3, "total": 3})
    file.write_text("Traceback\nError: first\nError: no room\n in two lines\n", encoding="utf-8")
    about = {
        "event": "job_error",
        "level": "ERROR",
        "rule_name": "measure",
        "output": ["a.nc"],
        "rule_msg": None,
    }
    for _ in range(2):
        log("CalledProcessError", event="error")
        printed = log(**about, jobid=3, log=[str(file)]).partition("\n")[2]
    assert printed == f"Error: no room\n in two lines\n  log: {file}\n"
    log(**about | {"rule_msg": "status is: 'TIMEOUT'"}, jobid=4, log=["nowhere.log", "slurm.log"])
    log("Command 'x' died with <Signals.SIGKILL: 9>.", event="error")
    log(**about, jobid=5, log=["nowhere.log"])
    log("At least one job did not complete.", level="ERROR")
    log(nrc={"unfinished": True})
    log("WorkflowError: At least one job did not complete.", event="error")
    assert end().partition("in two lines\n")[2].partition("\n")[2].splitlines() == [
        "Error: measure of a.nc failed: status is: 'TIMEOUT'", "  log: nowhere.log, slurm.log",
        "Error: measure of a.nc failed: it was killed by SIGKILL, manually or because memory ran out; run again to continue",
        "  log: nowhere.log", "",
        "Not done: 3 jobs failed. Fix the errors above; the same command then continues.",
    ]  # fmt: skip
    assert last_error(str(file), file.stat().st_mtime + 1) is None, "the log is of an earlier run"


def test_a_job_that_a_signal_stopped_has_not_failed(logger, tmp_path):
    file = tmp_path / "job.log"
    log, end = logger("rules")
    log(event="run_info", stats={"train_stack": 1, "total": 1})
    file.write_text(f"Error: a.nc: {STOPPED}\n", encoding="utf-8")
    log("CalledProcessError", event="error")
    about = {"rule_name": "train_stack", "output": ["a.nc"], "rule_msg": None}
    log(event="job_error", level="ERROR", jobid=3, log=[str(file)], **about)
    log("At least one job did not complete.", level="ERROR")
    log(nrc={"unfinished": True})
    log("WorkflowError: At least one job did not complete.", event="error")
    assert end().splitlines()[1:] == [f"a.nc: {STOPPED}", "", "Stopped; run again to continue."]


def test_a_fault_of_the_display_stops_nothing(logger):
    log, _ = logger("rules")
    assert log("a text", event="run_info", stats={}).startswith("a text\n(the display failed: KeyError")


def test_a_terminal_shows_a_bar_and_the_errors_above_it(fresh, finished):
    """The plane, in the bytes of another run; a column of it with Ctrl-C, and a job that fails.

    Every job has a Python of its own, as for a user, instead of a fork of the process of the tests.
    """
    status, written = in_terminal(fresh.command("results/mixture/measures.nc"), fresh.folder)
    assert status == 0, written
    before, again = digests(finished), digests(fresh)
    assert len(again) == 4
    assert again == {path: before[path] for path in again}
    assert " networks trained, 0 converged, " in written
    assert " networks trained, 4 converged, " in written
    plan, empty, done, networks, last = lines_left(written)[-5:]
    assert (plan, empty, last) == ("4 jobs to run", "", "")
    assert re.fullmatch(r"Done in \d+ (s|min)\.", done)
    assert re.fullmatch(r"  networks 4: 4 converged; largest relative residual \S+e-09", networks)
    assert "4 of 4 cells converged" in fresh.log(
        "results/mixture/train/weight_decay~all/sigma~all/width~4/depth~3/seed~0.nc"
    )
    assert not list((fresh.folder / "results/logs").rglob("*.progress"))

    status, written = in_terminal(fresh.command(COLUMNS.format(0.5)), fresh.folder, 40, interrupt_at=b"0 of ")
    assert status == 1
    assert lines_left(written)[-2:] == ["Stopped; run again to continue.", ""]

    target = COLUMNS.format(0.05)
    begin = "    make_deterministic("
    fresh.edit("workflow/scripts/train.py", begin, f"    raise ValueError('no network today')\n{begin}")
    status, written = in_terminal(fresh.command(target), fresh.folder)
    assert status == 1
    log = target.replace("results", "results/logs").replace("measure", "train").replace(".nc", ".log")
    assert lines_left(written)[-6:] == [
        "2 jobs to run",
        "Error: no network today",
        f"  log: {log}",
        "",
        "Not done: 1 job failed. Fix the errors above; the same command then continues.",
        "",
    ]
    assert not [word for word in CHATTER if word in written]


def test_the_summary_lists_the_results(finished, tmp_path):
    """Also where there was nothing to do, and where a file is damaged."""
    printed = finished.snakemake()
    lines = printed.partition("\nNothing to do: all requested files are up to date.\n")[2]
    assert max(map(len, lines.splitlines())) <= 80
    texts = dict(line.split(maxsplit=1) for line in re.sub(r"\n {4,}", " ", lines).splitlines())
    assert list(texts) == ["figures", "claims", "audit", "networks", "stopped", "pages"]
    assert texts["pages"] == "results/summary.html, results/explorer.html"
    assert re.match(r"\d+ in results/figures: figure1, .*figure5", texts["figures"])
    assert re.fullmatch(r"\d+ supported, \d+ contradicted, \d+ inconclusive \(a contradicted claim is a finding\): results/claims.md", texts["claims"])  # fmt: skip
    assert re.fullmatch(r"0 violations in [\d,]+ numbers checked: results/audit.md", texts["audit"])
    assert re.match(r"\d+: \d+ converged, \d+ stopped; largest relative residual", texts["networks"])
    assert re.match(r"mnist \d+ of \d+, ", texts["stopped"])
    assert not [word for word in CHATTER if word in printed]
    damaged = finished.copy(tmp_path / "damaged")
    claims = damaged.folder / "results/claims.nc"
    before = claims.stat().st_mtime_ns
    claims.write_bytes(b"nothing")
    os.utime(claims, ns=(before, before))  # as a disk damages it: nothing has a reason to run again
    assert "There is no summary: " in damaged.snakemake(options=["--rerun-triggers", "mtime"])


def test_a_dry_run_prints_changed_settings_and_an_estimate(checkout):
    changes = {
        "experiments.mixture.training.tolerance": 1e-4,
        "figures.figure1.certified": 0.2,
        "data.blobs.separation": 3,
    }
    overlays, options = checkout.overlay(changes), ["--dry-run"]
    printed = checkout.snakemake("results/figures/figure1.png", options=options, overlays=overlays)
    changed = re.search(r"Changed since the results were made:\n((?:  .*\n)+)", printed)[1]
    assert changed.splitlines() == [
        "  data.blobs.separation: 2.0 -> 3.0 (make_mixture, measure, collect, plot_figure1)",
        "  experiments.mixture.training.tolerance: 1e-08 -> 0.0001 (train_stack, collect, plot_figure1)",
        "  figures.figure1.certified: 0.1 -> 0.2 (plot_figure1)",
    ]
    assert "\n5 jobs to run, 4 networks to train, 4 networks to measure\nAbout " in printed
    assert "on 2 cores, by the times in results/benchmarks: 5 jobs as long as last time.\n" in printed
    checkout.edit("nrc/measures/network.py", "1e-", "2e-")
    printed = checkout.snakemake("results/mixture/measures.nc", options=options)
    assert "  no setting, but code, an input file or a forced run: measure\n" in printed


def test_snakemakes_own_output_is_printed_on_request(finished):
    options = ["--dry-run", "--forcerun", "plot_figure2", "--printshellcmds", "--quiet", "host"]
    printed = finished.snakemake("results/figures/figure2.png", options=options)
    assert "Building DAG of jobs" in printed
    assert "rule plot_figure2:" in printed
    assert "python workflow/scripts/plot.py" in printed
    commands = finished.snakemake("results/figures/figure2.png", options=options[:-2])
    assert "python workflow/scripts/plot.py" in commands
    assert "Building DAG of jobs" not in commands
