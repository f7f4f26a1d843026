"""Which settings differ from those that results were made with, by the keys of the configuration."""

from types import SimpleNamespace

from snakemake_logger_plugin_nrc.dry_run import Plan
from support.configurations import desk, read
from workflow.lib import job_settings
from workflow.lib.changed_settings import changed_keys
from workflow.lib.paths import stack_files, stack_of

CHANGES = """
device: cpu
data: {blobs: {separation: 3}}
experiments:
  mixture:
    grid: {sigma: [0.1, 0.5]}
    training: {tolerance: 1.0e-4, epochs: 700}
    measures: {delta: 0.2}
figures: {figure1: {certified: 0.2}}
claims: {transition: {at_least: 0.7}}
"""


def keys(tmp_path, rule, name, part, *arguments):
    """The keys that a slice of the changed settings shows."""
    old, new = desk(), read(tmp_path, CHANGES)
    data_of = {name: experiment["data"] for name, experiment in new["experiments"].items()}
    return changed_keys(rule, name, part(*arguments, old), part(*arguments, new), data_of)


def test_differences_of_each_slice_have_keys_of_the_configuration(tmp_path):
    training = {
        "experiments.mixture.training.epochs": (30000, 700),
        "experiments.mixture.training.tolerance": (1e-8, 1e-4),
    }
    separation = {"data.blobs.separation": (2, 3)}
    assert keys(tmp_path, "make_mixture", "blobs", job_settings.data_slice, "blobs", 0) == separation

    def of_stack(settings):
        (path, *_) = stack_files("train", "mixture", settings["experiments"]["mixture"])
        cells = path.removeprefix("results/mixture/train/").removesuffix(".nc")
        return job_settings.training_slice("mixture", stack_of("mixture", cells, settings), settings)

    found = keys(tmp_path, "train_stack", "mixture", of_stack)
    assert found.pop("experiments.mixture.grid.sigma")[1] == [0.1, 0.5]
    assert found == training | {"device": ("auto", "cpu")}
    found = keys(tmp_path, "measure", "mixture", job_settings.measure_slice, "mixture")
    assert separation.items() <= found.items()
    assert found["experiments.mixture.measures.delta"][1] == 0.2
    whole = keys(tmp_path, "collect", "mixture", job_settings.whole_slice, "mixture")
    assert (training | separation).items() <= whole.items()
    found = keys(tmp_path, "plot_figure1", "", job_settings.figure_slice, "figure1")
    assert found["figures.figure1.certified"][1] == 0.2
    assert (training | separation).items() <= found.items()
    assert "experiments.mixture.measures.delta" in keys(tmp_path, "audit", "", job_settings.audit_slice)
    assert [*keys(tmp_path, "judge_claims", "", job_settings.claims_slice)] == ["claims.transition.at_least"]


def job(number, rule, settings, folder, seconds=None, old=None, **wildcards):
    """A job of a dry run, whose output exists if it ran with old settings."""
    output, log, benchmark = (folder / f"{number}.{ending}" for ending in ("nc", "log", "tsv"))
    if old is not None:
        output.touch()
        log.write_text(f"settings: {old}\nand more\n", encoding="utf-8")
    if seconds:
        benchmark.write_text(f"s\th:m:s\n{seconds}\t0:00:01\n", encoding="utf-8")
    return SimpleNamespace(
        rule_name=rule, output=[str(output)], log=[str(log)], benchmark=str(benchmark), input=[], threads=2,
        wildcards=wildcards, shellcmd=f"python x.py --settings '{settings}' --log a",
    )  # fmt: skip


def lines(jobs, cores=None):
    """The lines of a dry run of jobs, whose stacks have four networks."""
    plan = Plan({"experiments": {"a": {"data": "b"}}}, lambda experiment, cells: range(4), cores)
    for each in jobs:
        plan.add(each)
    return plan.lines()


def test_each_key_is_one_short_line(tmp_path):
    old, new = '{"training": {"epochs": 100}}', '{"training": {"epochs": 200}}'
    long, short = f'{{"figure": {{"title": "{"x" * 500}"}}}}', '{"figure": {"title": null}}'
    jobs = [
        *(job(n, "train_stack", new, tmp_path, old=old, experiment="a", cells="b") for n in (1, 2)),
        job(3, "train_stack", new, tmp_path, experiment="a", cells="b"),
        job(4, "plot_f", short, tmp_path, old=long),
        job(5, "measure", new, tmp_path, old=new, experiment="a", cells="b"),
    ]
    assert lines(jobs)[:-1] == [
        "Changed since the results were made:",
        "  experiments.a.training.epochs: 100 -> 200 (2 train_stack)",
        f"  figures.f.title: {'x' * 37}... -> null (plot_f)",
        "  no setting, but code, an input file or a forced run: measure",
        "5 jobs to run, 12 networks to train, 4 networks to measure",
    ]
    assert len(lines([jobs[2]])) == 2, "it has no results"


def test_the_time_is_estimated_from_benchmark_files(tmp_path):
    jobs = [job(1, "collect", "{}", tmp_path, seconds=100), job(2, "collect", "{}", tmp_path)]
    assert lines(jobs, 4)[-1] == (
        "About 2 min on 4 cores, by the times in results/benchmarks: 1 job as long as last time, 1 job as long as similar jobs."
    )
    assert lines(jobs)[-1].startswith("About 7 min on one core, ")
    assert lines([job(3, "audit", "{}", tmp_path / "nowhere")], 4)[-1] == (
        "No estimate of the time, because results/benchmarks has no times of such jobs."
    )
