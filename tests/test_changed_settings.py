"""Which settings differ from those that results were made with, by the keys of the configuration."""

from support.configurations import desk, read
from workflow.lib import job_settings
from workflow.lib.changed_settings import Changed, changed_keys, in_lines, settings_among
from workflow.lib.paths import stack_files, stack_of

CHANGES = """
device: cpu
data: {blobs: {separation: 3}}
experiments:
  mixture:
    network: {bias: true}
    grid: {sigma: [0.1, 0.5]}
    training: {tolerance: 1.0e-4}
    measures: {delta: 0.2}
figures: {figure1: {certified: 0.2}}
claims: {transition: {at_most: 0.7}}
"""


def keys(tmp_path, rule, name, part, *arguments):
    """The keys that a slice of the changed settings shows."""
    old, new = desk(), read(tmp_path, CHANGES)
    data_of = {name: experiment["data"] for name, experiment in new["experiments"].items()}
    return changed_keys(rule, name, part(*arguments, old), part(*arguments, new), data_of)


def test_every_slice_is_told_in_keys_of_the_configuration(tmp_path):
    training = {
        "experiments.mixture.network.bias": (False, True),
        "experiments.mixture.training.tolerance": (1e-8, 1e-4),
    }
    assert keys(tmp_path, "make_mixture", "blobs", job_settings.data_slice, "blobs", 0) == {
        "data.blobs.separation": (2, 3)
    }

    def of_stack(settings):
        (path, *_) = stack_files("train", "mixture", settings["experiments"]["mixture"])
        cells = path.removeprefix("results/mixture/train/").removesuffix(".nc")
        return job_settings.training_slice("mixture", stack_of("mixture", cells, settings), settings)

    found = keys(tmp_path, "train_stack", "mixture", of_stack)
    assert found.pop("experiments.mixture.grid.sigma")[1] == [0.1, 0.5]
    assert found.pop("device") == ("auto", "cpu")
    assert found == training
    found = keys(tmp_path, "measure", "mixture", job_settings.measure_slice, "mixture")
    assert found["data.blobs.separation"] == (2, 3)
    assert found["experiments.mixture.measures.delta"][1] == 0.2
    whole = keys(tmp_path, "collect", "mixture", job_settings.whole_slice, "mixture")
    assert training.items() <= whole.items()
    assert whole["data.blobs.separation"] == (2, 3)
    found = keys(tmp_path, "plot_figure1", "", job_settings.figure_slice, "figure1")
    assert found["figures.figure1.certified"][1] == 0.2
    assert training.items() <= found.items()
    assert found["data.blobs.separation"] == (2, 3)
    assert "experiments.mixture.measures.delta" in keys(tmp_path, "audit", "", job_settings.audit_slice)
    assert list(keys(tmp_path, "judge_claims", "", job_settings.claims_slice)) == [
        "claims.transition.at_most"
    ]


def test_an_entry_that_comes_or_goes_is_one_line(tmp_path):
    old = desk()
    new = read(
        tmp_path,
        "experiments: {mnist: null}\nclaims: {mine: {statistic: transition_width, statement: a, of: mixture, to: 0.5, at_most: 1}}",
    )
    data_of = {name: experiment["data"] for name, experiment in old["experiments"].items()}
    of = {"judge_claims": job_settings.claims_slice, "summarise": job_settings.summary_slice}
    jobs = [Changed(rule, changed_keys(rule, "", part(old), part(new), data_of)) for rule, part in of.items()]
    lines = in_lines(jobs)
    assert "  claims.tail: dropped (judge_claims, summarise)" in lines
    assert "  claims.mine: added (judge_claims, summarise)" in lines
    assert "  figures.figure3: dropped (summarise)" in lines
    assert "  experiments.mnist: dropped (summarise)" in lines
    assert all(line.count(".") == 1 for line in lines[1:])


def test_each_key_is_one_short_line():
    jobs = [
        Changed("train_stack", {"a.epochs": (100, 200), "a.grid.sigma": ([0.1, 0.2], [0.1, 0.3, 0.4])}),
        Changed("train_stack", {"a.epochs": (100, 200)}),
        Changed("collect", {"a.epochs": (100, 200), "a.statement": ("x" * 500, None)}),
        *(Changed(f"plot_{n}", {"a.statement": ("x" * 500, None)}) for n in range(9)),
        Changed("measure", {}),
    ]
    assert in_lines(jobs) == [
        "Changed since the results were made:",
        "  a.epochs: 100 -> 200 (2 train_stack, collect)",
        "  a.grid.sigma: without 0.2, with 0.3, 0.4 (train_stack)",
        f"  a.statement: {'x' * 37}... -> null (collect, 9 figures)",
        "  code: measure",
    ]
    assert in_lines([]) == []


def test_settings_are_found_among_what_snakemake_recorded():
    assert settings_among(["'abc'", "['d', 'e']", repr('{"delta": {"a": 0.1}}')]) == {"delta": {"a": 0.1}}
    assert settings_among(["'abc'"]) == {}
    assert changed_keys("train_stack", "a", {}, {"x": 1}, {}) == {}, "nothing is known of the old ones"
