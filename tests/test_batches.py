"""What mini-batches say about rank, against a run of SGD and against closed forms."""

import json

import numpy as np
import pytest

from nrc import kinds
from nrc.theory.batches import batch_bound
from nrc.theory.ranks import relative_distance
from support.made_up import METHOD, K, cube


def made(weight_decay=(0.01, 0.1), **method):
    """A cube of 30 points and one noise level that says by which method it was trained."""
    settings = {"training": {"method": METHOD | method}}
    made_up = cube(sigma=[0.1], weight_decay=list(weight_decay))
    return made_up.assign_attrs(settings=json.dumps(settings))


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
    with pytest.raises(ValueError, match="layer is 4, but the networks have 3 layers; choose from these"):
        rows({"tens": made()}, layer=4)


def test_a_layer_without_a_distance_to_rank_k_is_refused():
    with pytest.raises(
        ValueError, match=f"distance of layer 2 to rank {K}, but the layer has {K} singular values"
    ):
        rows({"tens": made().sel(index=slice(K))})


def test_all_bounds_weight_decays_and_panels_are_visible():
    module = kinds.module("figures", "batches")
    for decays in ([0.1], [0.1, 0.2, 0.3, 0.4, 0.5]):
        of = made(weight_decay=decays)
        of["bound_measured"] *= 1000
        figure = module.draw({"tens": of}, module.Options(of={"tens": "one"}))
        below = [axis for axis in figure.axes[2:] if axis.get_visible()]
        assert len(below) == min(2, len(decays))
        highest = max(np.nanmax(line.get_ydata()) for axis in below for line in axis.lines)
        assert below[0].get_ylim()[1] > highest > 30
    assert len({str(module._dash(place)) for place in range(9)}) == 9
