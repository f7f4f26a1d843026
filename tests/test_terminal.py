"""What a person sees of a run: on a terminal, in a log, in a dry run, and when something goes wrong."""

import io
import logging
import os
import re

import pytest
import torch

from support.terminals import in_terminal, lines_left
from workflow.lib import terminal
from workflow.lib.progress import Job, Progress
from workflow.lib.terminal import DryRun, Terminal, why_failed

COLUMNS = "results/mixture/measure/weight_decay~all/sigma~{}/width~4/depth~3/seed~0.nc"
CHATTER = ("jobs to execute", "Finished jobid", "steps (", "Job stats", "Using shell", "Building DAG", "ignored", "localrule")  # fmt: skip


class Stream(io.StringIO):
    """A terminal, or none."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self):
        return self._terminal


@pytest.fixture
def logger():
    """A logger with a handler of Snakemake's name, and its stream."""
    made = logging.getLogger("made up")
    made.setLevel(logging.INFO)
    made.propagate = False
    yield made
    for handler in list(made.handlers):
        made.removeHandler(handler)
        handler.close()


def handled(logger, how, *arguments, on_terminal=False):
    inner = logging.StreamHandler(Stream(on_terminal))
    inner.name = "DefaultStreamHandler"
    logger.addHandler(inner)
    return how.of(logger, *arguments), inner.stream


def test_chatter_is_left_out_and_the_rest_stays(logger):
    _, stream = handled(logger, Terminal, lambda: "the summary", True)
    for text in (
        "Select jobs to execute...",
        "Execute 3 jobs...",
        "Building DAG of jobs...",
        "Complete log(s): x",
    ):
        logger.info(text)
    logger.info("Finished jobid: 31 (Rule: train_stack)", extra={"event": "job_finished", "job_id": 31})
    logger.info("a plugin of tomorrow says this")
    logger.warning("Select another disk")
    logger.error("CalledProcessError: returned non-zero exit status 1", extra={"event": "error"})
    logger.error("MissingOutputException", extra={"event": "error"})
    assert stream.getvalue().splitlines() == [
        "a plugin of tomorrow says this",
        "Select another disk",
        "MissingOutputException",
    ]
    logger.info("Nothing to be done (all requested files are present and up to date).")
    assert stream.getvalue().endswith("and up to date).\nthe summary\n")


def test_a_fault_of_the_display_stops_nothing(logger, monkeypatch):
    handler, stream = handled(logger, Terminal, lambda: "", True)
    handler.begin(lambda: 1 / 0, lambda: None)
    assert "There is no progress to be shown: ZeroDivisionError" in stream.getvalue()
    handler.begin(list, lambda: Progress({}))
    monkeypatch.setattr(handler, "take", lambda record: 1 / 0)
    logger.info("Select jobs to execute...")
    assert "Select jobs" in stream.getvalue(), "as Snakemake would have shown it"


def test_lines_without_a_terminal_come_now_and_then(logger, monkeypatch):
    monkeypatch.setattr(terminal, "SECONDS_BETWEEN_LINES", 0.01)
    handler, stream = handled(logger, Terminal, lambda: "", True)
    handler.begin(lambda: ["why"], lambda: Progress({3: Job("collect"), 4: Job("audit")}))
    logger.info("", extra={"event": "job_started", "jobs": [3]})
    logger.info("", extra={"event": "job_finished", "job_id": 3})
    while "1/2 jobs" not in stream.getvalue():
        pass
    handler.end()
    why, plan, *lines = stream.getvalue().splitlines()
    assert (why, plan) == ("why", "2 jobs to run")
    assert re.fullmatch(r"\[\d\d:\d\d:\d\d\] 50%: 1/2 jobs.*", lines[-1])
    assert len(lines) <= 2, "no line says what the one before it said"
    assert "\r" not in stream.getvalue()


def test_a_failed_job_tells_its_error_and_log(logger, tmp_path):
    log = tmp_path / "job.log"
    log.write_text("Traceback\nError: first\nError: no room\n in two lines\n", encoding="utf-8")
    handler, stream = handled(logger, Terminal, lambda: "", True)
    about = {"event": "job_error", "jobid": 3, "rule_name": "measure", "output": ["a.nc"]}
    logger.error("", extra={**about, "log": [str(log)], "rule_msg": None})
    assert stream.getvalue() == f"Error: no room\n in two lines\n  log: {log}\n"
    handler.tell(str(log), "no room\n in two lines")
    assert stream.getvalue().count("no room") == 1, "it was the last thing told"
    logger.error("", extra={**about, "log": ["nowhere.log", "slurm.log"], "rule_msg": "status is: 'TIMEOUT'"})
    assert (
        "Error: measure of a.nc failed: status is: 'TIMEOUT'\n  log: nowhere.log, slurm.log"
        in stream.getvalue()
    )
    logger.error("RuleException: ... died with <Signals.SIGKILL: 9>.", extra={"event": "error"})
    logger.error("", extra={**about, "log": ["nowhere.log"], "rule_msg": None})
    assert "measure of a.nc failed: it was killed by SIGKILL, by hand or where memory" in stream.getvalue()
    assert "RuleException" not in stream.getvalue()
    assert why_failed(str(log), log.stat().st_mtime + 1) is None, "of an earlier run"


def test_a_plan_is_shown_once_and_its_reasons_are_short(logger):
    _, stream = handled(logger, DryRun, lambda number=None: ["Changed:", "  a.b: 1 -> 2 (measure)"])
    for _ in range(2):
        logger.info("Job stats:", extra={"event": "run_info"})
    logger.info("Some jobs were triggered by provenance information, see 'reason'")
    assert stream.getvalue() == "Job stats:\nChanged:\n  a.b: 1 -> 2 (measure)\n\n"
    reason = f"Updated input files: x; Params have changed since last execution: {'before ' * 99}"
    about = {"event": "job_info", "jobid": 1, "reason": reason, "msg": "", "levelno": logging.INFO}
    record = logging.makeLogRecord(about)
    logger.handle(record)
    assert record.reason == "Updated input files: x; a.b: 1 -> 2 (measure)"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_terminal_shows_a_bar_and_nothing_between(fresh):
    """Two columns of the plane, then a job that fails, then what is there already."""
    targets = [COLUMNS.format(sigma) for sigma in (0.05, 0.5)]
    for columns in (80, 120):
        status, written = in_terminal(fresh.command(targets[columns == 120]), fresh.folder, columns)
        assert status == 0, written
        bars = re.findall(r"\r( *\d+%\|[^\r\n]*)", written)
        assert max(map(len, bars)) <= columns
        assert any("0/2 networks, 0 converged" in bar for bar in bars)
        assert any("2/2 networks, 2 converged, worst" in bar for bar in bars)
        first, plan, empty, done, *rest = lines_left(written)
        assert first.startswith("Using workflow specific profile")
        assert plan == f"{3 if columns == 80 else 2} jobs to run, 2 networks to train, 2 networks to measure"
        assert (empty, rest) == ("", [""])
        assert re.fullmatch(r"Done in \d+ s\.", done)
        assert "cells converged" not in written, "what a job says is in its log"
    assert not list((fresh.folder / "results/logs").rglob("*.progress"))
    assert "2 of 2 cells converged" in fresh.log(targets[0].replace("/measure/", "/train/"))

    overlays = fresh.overlay({"device": "cuda"})
    status, written = in_terminal(fresh.command(targets[0], overlays=overlays), fresh.folder)
    assert status == 1
    _, changed, device, plan, error, log, empty, title, *rest = lines_left(written)
    assert changed == "Changed since the results were made:"
    assert device.startswith("  device: cpu -> cuda (train_stack")
    assert error == "Error: device: cuda is asked for, but torch finds no GPU here; use device: auto or cpu"
    assert (
        log == f"  log: {targets[0].replace('results', 'results/logs').replace('measure', 'train')[:-3]}.log"
    )
    assert title == (
        "Not done: 1 job failed. Mend what is said above; the same command then goes on from what is there."
    )
    assert not [word for word in CHATTER if word in written]
    assert (empty, rest) == ("", [""])


def test_the_end_of_a_run_tells_what_it_brought(finished, tmp_path):
    """Also where there was nothing to do, and where a file is damaged."""
    said = finished.snakemake()
    told = said.partition("\nAll that was asked for is there.\n")[2]
    assert max(map(len, told.splitlines())) <= 80
    one_a_line = re.sub(r"\n {4,}", " ", told).splitlines()
    lines = dict(line.split(maxsplit=1) for line in one_a_line)
    assert list(lines) == ["figures", "claims", "audit", "networks", "stopped", "pages"]
    assert lines["pages"] == "results/summary.html, results/explorer.html"
    assert re.match(r"\d+ in results/figures: figure1, .*figure5", lines["figures"])
    assert re.fullmatch(
        r"\d+ supported, \d+ contradicted, \d+ inconclusive \(a contradicted claim is a finding\): results/claims.md",
        lines["claims"],
    )
    assert re.fullmatch(r"0 violations in [\d,]+ numbers checked: results/audit.md", lines["audit"])
    assert re.match(r"\d+: \d+ converged, \d+ stopped; worst relative residual", lines["networks"])
    assert re.match(r"mnist \d+ of \d+, ", lines["stopped"])
    assert not [word for word in CHATTER if word in said]
    damaged = finished.copy(tmp_path / "damaged")
    claims = damaged.folder / "results/claims.nc"
    before = claims.stat().st_mtime_ns
    claims.write_bytes(b"nothing")
    os.utime(claims, ns=(before, before))  # as a disk damages it: nothing has a reason to run again
    said = damaged.snakemake(options=["--rerun-triggers", "mtime"])
    assert "There is no summary: " in said


def test_a_plan_tells_which_settings_changed(checkout):
    changes = {
        "experiments.mixture.training.tolerance": 1e-4,
        "figures.figure1.certified": 0.2,
        "data.blobs.separation": 3,
    }
    overlays = checkout.overlay(changes)
    said = checkout.snakemake("results/figures/figure1.png", options=["--dry-run"], overlays=overlays)
    found = re.search(r"Changed since the results were made:\n((?:  .*\n)+)", said)[1]
    assert "  data.blobs.separation: 2 -> 3 (make_mixture, " in found
    assert "  experiments.mixture.training.tolerance: 1e-08 -> 0.0001 (train_stack, " in found
    assert "  figures.figure1.certified: 0.1 -> 0.2 (plot_figure1)\n" in found
    assert found.count("\n") == 3
    assert max(map(len, said.splitlines())) < 150
    assert "%|" not in said
    options = ["--dry-run", "--quiet", "host"]
    said = checkout.snakemake("results/figures/figure1.png", options=options, overlays=overlays)
    assert "reason: data.blobs.separation: 2 -> 3 (make_mixture)" in said
    assert "Params have changed" not in said


def test_snakemakes_own_output_or_none_is_for_the_asking(finished):
    target = "results/figures/figure2.png"
    said = finished.snakemake(target, options=["--quiet", "progress", "rules"])
    assert said.splitlines()[1:] == ["Nothing to be done (all requested files are present and up to date)."]
    said = finished.snakemake(target, options=["--quiet", "host"])
    assert "Building DAG of jobs" in said
