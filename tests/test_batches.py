"""What mini-batches say about rank, against a run of SGD and against closed forms."""

import json

import numpy as np
import pytest

from nrc import kinds
from nrc.theory.batches import batch_bound
from nrc.theory.ranks import relative_distance
from support.made_up import METHOD, K, cube


def made(**method):
    """A cube of 30 points and one noise level that says by which method it was trained."""
    settings = {"training": {"method": METHOD | method}}
    return cube(sigma=[0.1]).assign_attrs(settings=json.dumps(settings))


@pytest.mark.parametrize("batch", [1, 3])
def test_the_last_steps_of_sgd_bound_the_distance_to_low_rank(batch):
    """Regression by one matrix, 40 x 40: the norms before the last steps are known here."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 200, 40))
    rate, decay, w, history = 0.02, 4.0, rng.standard_normal((40, 40)), []
    for _ in range(400):
        rows = rng.choice(200, batch, replace=False)
        gradient = (x[rows] @ w.T - y[rows]).T @ x[rows] / batch
        history.append(w)
        w = w - rate * (gradient + decay * w)
    s = np.linalg.svd(w, compute_uv=False)
    for rank in range(batch, 40):
        before = np.linalg.norm(history[-(rank // batch)]) / np.linalg.norm(w)
        assert relative_distance(s, rank) <= batch_bound(rank, batch, rate, decay) * before * (1 + 1e-9)
    # the bound says something here
    assert batch_bound(39, 1, rate, decay) < 0.05


def rows(cubes, **options):
    module = kinds.module("figures", "batches")
    return module.rows(cubes, module.Options(of=dict.fromkeys(cubes, "one"), **options))


def test_rows_have_the_clock_and_the_bounds():
    of = made()
    table = rows({"tens": of, "fours": made(batch=4)}, layer=2)
    training = table[(table["panel"] == "training") & (table["weight_decay"] == 0.1)]
    steps = {"tens": 3, "fours": 8}  # an epoch has a last batch with fewer points
    for title, part in training.groupby("experiment"):
        np.testing.assert_allclose(part["clock"], 0.5 * 0.1 * steps[title] * of["snapshot"])
    s = (
        of["singular_values"]
        .sel(layer=2, weight_decay=0.1)
        .squeeze(drop=True)
        .transpose("seed", "index")
        .values
    )
    after = table.query("panel == 'rank' and experiment == 'fours' and weight_decay == 0.1").set_index("rank")
    for rank in after.index:
        assert after["distance"][rank] == pytest.approx(np.median(relative_distance(s, rank)))
        assert after["bound_batches"][rank] == pytest.approx(0.95 ** (rank // 4))
        assert np.isnan(after["bound_points"][rank]) == (rank != K)
    measured = of["bound_measured"].sel(layer=2, weight_decay=0.1).min("source").squeeze()
    expected = np.median(measured / np.linalg.norm(s, axis=1))
    assert after["bound_points"][K] == pytest.approx(expected)


def test_the_caption_has_the_certified_rank():
    module = kinds.module("figures", "batches")
    of = {"tens": made()}
    facts = module.summary(of, module.Options(of={"tens": "one"}))
    # 45 steps: 0.95^44 = 0.105, 0.95^45 = 0.099
    assert facts["certified"] == {"tens": 450}


def test_a_layer_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="layer is 4, but the networks have 3 layers; choose one of them"):
        rows({"tens": made()}, layer=4)
