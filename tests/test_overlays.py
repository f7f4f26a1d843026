from pathlib import Path

import pytest

from support.configurations import CONFIG, desk, read, refused
from workflow.config.load import ConfigurationError, read_settings


def test_like_inherits_settings_and_nothing_else(tmp_path):
    settings = read(tmp_path, "experiments: {linear: {training: {epochs: 770}, measures: {delta: 0.01}}}")
    model, other = (settings["experiments"][name] for name in ("linear", "linear_product_centroids"))
    assert "like" not in other
    for key in ("data", "grid", "network", "stack", "measures", "task", "loss"):
        assert other[key] == model[key]
    assert other["measures"]["delta"] == 0.01
    assert other["training"] == {
        **model["training"],
        "penalty": "product",
        "loss_on": "centroids",
        "method": {"name": "levenberg_marquardt"},
        "tolerance": 1e-10,
    }


def test_like_may_be_a_chain_and_may_take_other_data(tmp_path):
    settings = read(
        tmp_path,
        """
        data: {more: {kind: mixture, clusters: 3, points: 30, dimension: 2}}
        experiments:
          a: {like: b, data: more}
          b: {like: c, grid: {seed: [5]}}
          c: {like: mixture, grid: {depth: [2]}}
        """,
    )
    assert settings["experiments"]["a"]["data"] == "more"
    assert (settings["experiments"]["a"]["grid"]["seed"], settings["experiments"]["a"]["grid"]["depth"]) == (
        [5],
        [2],
    )
    assert settings["experiments"]["b"]["data"] == "blobs"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: {like: blobs}",
            "experiments.a.like is 'blobs', but must be one of mixture, mixture_cells, linear",
        ),
        ("a: {like: 3}", "experiments.a.like is 3, but must be one of mixture, mixture_cells, linear"),
        ("a: {like: a}", "experiments.a.like closes a circle, a like a"),
        (
            "{a: {like: b}, b: {like: c}, c: {like: a}}",
            "experiments.c.like closes a circle, a like b like c like a",
        ),
        # a mistake that others inherit
        ("mnist: {training: {epochs: 0}}", "experiments.mnist.training.epochs is 0, but must be"),
        ("mnist: {training: {epochs: 5}}", "experiments.mnist.training.epochs is no key here"),
        (
            "{a_first: {like: mixture}, mixture: {grid: {sigma: {from: 2}}}}",
            "experiments.mixture.grid.sigma.from is 2, but must be less than",
        ),
        (
            "{a_first: {like: mnist}, mnist: {training: {method: {batch: 3000}}}}",
            "experiments.mnist.training.method.batch is 3000, but must be at most 1000",
        ),
        # a mistake of both
        (
            "a: {like: linear_product, network: {activation: tanh}}",
            "experiments.linear_product.training.penalty is 'product', which needs network.activation to be "
            "linear, but experiments.a.network.activation is 'tanh'",
        ),
        (
            "a: {like: mnist, training: {penalty: product}}",
            "experiments.a.training.penalty is 'product', which needs task to be autoencode, but "
            "experiments.mnist.task is 'classify'",
        ),
        (
            "a: {like: mnist, data: blobs}",
            "experiments.a.grid.sigma is missing; it must be given, for its data are of kind mixture",
        ),
        (
            "{a: {like: mixture, data: digits}, mixture: {measures: {delta: 0.01}}}",
            "experiments.mixture.measures.delta has no use where data.digits.kind is 'mnist', not mixture",
        ),
    ],
)
def test_a_mistake_is_told_where_it_was_written(tmp_path, text, message):
    text = text if text.startswith("{") else f"{{{text}}}"
    assert refused(tmp_path, f"experiments: {text}").startswith(message)


def test_what_hangs_on_a_dropped_experiment_goes_with_it(tmp_path):
    settings = read(tmp_path, "experiments: {mnist: null}")
    assert list(settings["experiments"]) == [
        "mixture",
        "mixture_cells",
        "linear",
        "linear_centroids",
        "linear_product",
        "linear_product_centroids",
    ]
    assert list(settings["figures"]) == ["figure1", "bounds", "certified", "figure2", "forecast"]
    assert list(settings["claims"]) == [
        "transition",
        "transition_whole",
        "quadratic",
        "quadratic_factors",
        "quadratic_factors_global",
        "decrease",
        "decrease_factors",
        "decrease_factors_global",
    ]
    assert settings["data"] == desk()["data"]
    assert settings["dropped"] == (
        "configuration: experiments mnist is dropped, and with it experiments width, depth, mnist_stationary, "
        "width_stationary, depth_stationary, figures certified_mnist, "
        "certified_mnist_stationary, figure3, "
        "figure4, figure4_supplement, figure5, figure5_supplement, figure3_stationary, figure4_stationary, "
        "figure4_stationary_supplement, figure5_stationary, figure5_stationary_supplement, "
        "claims tail, head, tail_with_decay, "
        "variability, variability_with_decay, collapse_with_decay, width, width_with_decay, rank_with_decay, "
        "depth, tail_stationary, head_stationary, tail_with_decay_stationary, variability_stationary, "
        "variability_with_decay_stationary, collapse_with_decay_stationary, width_stationary, "
        "width_with_decay_stationary, rank_with_decay_stationary, depth_stationary"
    )


def test_what_hangs_on_dropped_data_goes_with_it(tmp_path):
    settings = read(
        tmp_path,
        "data: {digits: null, small_blobs: null}\nclaims: {transition: null, transition_whole: null}",
    )
    assert list(settings["experiments"]) == ["mixture", "mixture_cells"]
    assert list(settings["figures"]) == ["figure1", "bounds", "certified"]
    assert settings["claims"] == {}
    assert settings["dropped"].startswith(
        "configuration: data digits, small_blobs, claims transition, transition_whole are dropped, and with them experiments linear, "
    )


def test_an_experiment_goes_with_the_one_it_is_like_even_on_other_data(tmp_path):
    settings = read(
        tmp_path, "data: {blobs: null}\nexperiments: {a: {like: mixture, data: small_blobs}, b: {like: a}}"
    )
    assert not {"a", "b", "mixture"} & set(settings["experiments"])


def test_a_figure_or_claim_is_dropped_alone(tmp_path):
    settings = read(tmp_path, "figures: {figure1: null}\nclaims: {head: null}")
    assert settings["dropped"] == "configuration: figures figure1, claims head are dropped"
    assert "figure1" not in settings["figures"]
    assert "head" not in settings["claims"]


def test_a_comparison_goes_with_the_experiment_on_centroids(tmp_path):
    settings = read(tmp_path, "experiments: {linear_centroids: null}")
    assert settings["dropped"] == (
        "configuration: experiments linear_centroids is dropped, and with it figures figure2, claims "
        "quadratic_factors, quadratic_factors_global, decrease_factors, decrease_factors_global"
    )
    assert {"forecast", "figure1"} <= set(settings["figures"])


def test_what_was_dropped_may_be_written_anew(tmp_path):
    again = "figures: {figure1: {kind: bounds, of: mixture, dpi: 99}}"
    settings = read(tmp_path, "figures: {figure1: null}", again)
    assert settings["dropped"] is None
    assert settings["figures"]["figure1"] == {
        "kind": "bounds",
        "of": ["mixture"],
        "at": {},
        "dpi": 99,
        "colour_map": "viridis",
    }


def test_what_is_dropped_may_have_mistakes(tmp_path):
    read(tmp_path, "experiments: {mnist: {training: {epochs: 0}}}", "experiments: {mnist: null}")


def test_a_name_that_never_was_is_a_mistake_and_no_drop(tmp_path):
    assert "experiments.mnits is null, which drops it, but there is none; there are mixture" in refused(
        tmp_path, "experiments: {mnits: null}"
    )
    dropped = "experiments: {mnist: null}\n"
    assert "figures.more.of is 'mnits', and there is no experiment mnits" in refused(
        tmp_path, dropped + "figures: {more: {kind: bounds, of: mnits}}"
    )


def test_one_experiment_must_be_left(tmp_path):
    assert "experiments is empty" in refused(tmp_path, "data: {blobs: null, small_blobs: null, digits: null}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: 1\nb: 2\na: 3", "bad.yaml, line 3: a stands here again, first in line 1; keep one"),
        ("data:\n  x: {kind: mixture,\n      kind: mnist}", "bad.yaml, line 3: kind stands here again"),
        ("data:\n\tx: 1", "bad.yaml, line 2: found character"),
        ("data: [1\nfigures: 2", "bad.yaml, line 2"),
        ("data: {x: *y}", "bad.yaml, line 1: found undefined alias"),
        ("data: &x {y: *x}", "bad.yaml, line 1: found unconstructable recursive node"),
        ("1: x", "bad.yaml, line 1: a key must be text, and 1 is not; put it in quotes"),
        ("- 1", "bad.yaml holds [1], but must hold a mapping of keys to values"),
        ("just text", "bad.yaml holds just text, but must hold a mapping"),
        ("a: !!python/name:os.system x", "bad.yaml, line 1: could not determine a constructor"),
        ("a: 1\n---\nb: 2", "bad.yaml, line 2: but found another document"),
        (b"\xff\xfe\x00", "bad.yaml is no text; it must be a YAML file in UTF-8"),
        (b"a: \x00", "bad.yaml is no YAML"),
        (None, "bad.yaml cannot be read (No such file or directory)"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_named_with_the_line(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("bad.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigurationError) as error:
        read_settings([CONFIG, "bad.yaml"])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_may_be_empty(tmp_path):
    assert read(tmp_path, "# nothing yet\n") == desk()


def test_the_schema_is_open_to_yaml_of_every_style(tmp_path):
    text = """
        experiments:
          a: &a {like: mixture, grid: {seed: [1]}}
          b: {<<: *a, network: {gain: 2}}
        """
    settings = read(tmp_path, text)
    assert settings["experiments"]["b"]["grid"]["seed"] == [1]
    assert settings["experiments"]["b"]["network"]["gain"] == 2


@pytest.mark.parametrize("text", ["claims: null", "claims:"])
def test_a_section_without_entries_drops_those_it_has(tmp_path, text):
    settings = read(tmp_path, text)
    assert settings["claims"] == {}
    assert settings["dropped"].startswith("configuration: claims transition, transition_whole, quadratic,")
    assert settings["dropped"].endswith("depth_stationary are dropped")
    assert read(tmp_path, text, "claims: {level: 0.9}")["claims"] == {}
