from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.linalg import null_space

from nrc.networks.activations import ACTIVATIONS
from nrc.networks.mlp import Network
from nrc.theory.bounds import distance_bound, gradient_rank_bound
from nrc.theory.centroids import (
    RANK_TOLERANCE,
    centroid_gap,
    centroid_gap_bound,
    centroids,
    outside_gradient,
    second_derivative_bound,
    singular_directions,
)
from support.references import centroid_gradient

# torch's own, when it loads its vmap
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")

CELLS, POINTS, CLUSTERS, SIZES = 3, 30, 3, (5, 7, 6, 5)
NETWORKS = [("tanh", False), ("relu", True)]
SMOOTH = [name for name, activation in sorted(ACTIVATIONS.items()) if activation.derivative_bounds]


def draw(sigma=0.5, seed=0, activation="tanh", bias=False):
    """A network, points around means with targets of their own, and uneven clusters that differ by cell."""
    rng = np.random.default_rng(seed)
    weights = [torch.from_numpy(rng.normal(size=(CELLS, m, n)) / n**0.5) for n, m in pairwise(SIZES)]
    labels = np.stack([rng.permutation(np.repeat([0, 1, 2], [15, 10, 5])) for _ in range(CELLS)])
    means, targets = (rng.normal(size=(CELLS, CLUSTERS, SIZES[i])) for i in (0, -1))
    noise, other = (rng.normal(size=(CELLS, POINTS, SIZES[i])) for i in (0, -1))
    cell = np.arange(CELLS)[:, None]
    x, y = means[cell, labels] + sigma * noise, targets[cell, labels] + sigma * other
    biases = [torch.from_numpy(rng.normal(size=(CELLS, n))) / 2 for n in SIZES[1:]] if bias else None
    network = Network(weights, activation, biases=biases)
    return network, torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(labels)


def of_cell(network, cell):
    """One network of a stack, as a stack of its own whose weights take part in autograd."""
    biases = None if network.biases is None else [b[cell : cell + 1] for b in network.biases]
    weights = [w[cell : cell + 1].clone().requires_grad_() for w in network.weights]
    return replace(network, weights=weights, biases=biases)


def all_gaps(network, x, y, labels):
    """gap_{k,l} and its bound, each (cells, layers, sources), missing where k is not below l."""
    _, gradient, _ = network.gradient(x, y)
    depth = len(network.weights)
    gap, bound = torch.full((2, len(x), depth, depth), torch.nan, dtype=x.dtype)
    for k, z in enumerate(network.features(x)[:-1]):
        after = network.after(k), z, y, labels, int(labels.max()) + 1
        gap[:, k:, k] = centroid_gap(gradient[k:], centroid_gradient(*after))
        bound[:, k:, k] = centroid_gap_bound(*after)
    return gap, bound


def test_centroids_agree_with_a_plain_loop():
    _, x, _, labels = draw()
    means, shares = centroids(x, labels, CLUSTERS)
    for c in range(CELLS):
        for cluster in range(CLUSTERS):
            members = [x[c, i] for i in range(POINTS) if labels[c, i] == cluster]
            torch.testing.assert_close(means[c, cluster], sum(members) / len(members))
            assert float(shares[c, cluster]) == len(members) / POINTS


def test_the_gap_vanishes_with_the_variability_and_is_of_its_order():
    """Lemma 3.3: the first-order terms cancel, so the gap is quadratic in sigma as the WCSS is."""
    gaps = []
    for sigma in (1e-2, 1e-3, 0.0):
        gaps.append(all_gaps(*draw(sigma))[0])
    below = ~gaps[0].isnan()
    torch.testing.assert_close(
        gaps[0][below] / gaps[1][below], torch.full_like(gaps[0][below], 100), rtol=0.1, atol=0
    )
    assert (gaps[2][below] < 1e-14).all()


@pytest.mark.parametrize("activation", SMOOTH)
@pytest.mark.parametrize("partition", ["classes", "random"])
def test_theorem_3_4_holds_at_any_weights_and_for_any_partition(activation, partition):
    for seed, weight_decay, bias in ((0, 1e-3, False), (1, 1.0, True), (2, 1e-3, True)):
        network, x, y, labels = draw(0.3, seed, activation, bias)
        if partition == "random":
            labels = labels[:, torch.randperm(POINTS, generator=torch.Generator().manual_seed(seed))]
        _, gradient, _ = network.gradient(x, y)
        pairs = zip(gradient, network.weights, strict=True)
        r = torch.stack([(g + weight_decay * w).norm(dim=(1, 2)) for g, w in pairs], 1)
        gap, gap_bound = all_gaps(network, x, y, labels)
        assert (gap.nan_to_num() <= gap_bound.nan_to_num() * (1 + 1e-12)).all(), "Lemma 3.3"
        bound = np.nanmin(distance_bound(r[:, :, None], gap, weight_decay), axis=2)
        for l, w in enumerate(network.weights):
            distance = torch.linalg.svdvals(w)[:, CLUSTERS:].norm(dim=1)
            assert (distance.numpy() <= bound[:, l] * (1 + 1e-12)).all()


def test_theorem_3_4_is_sharp():
    """At weights equal to -gradient / lambda the residual is 0; a bound 10% smaller would be false.

    One linear layer on two points a cluster whose noise is orthogonal to everything else: the
    stationary weights are the ridge solution, and what is beyond rank K is the gap alone.
    """
    weight_decay = 0.1
    x = torch.tensor([[[2.0, 0, 1], [2.0, 0, -1]]], dtype=torch.float64)
    covariance = x[0].T @ x[0] / 2
    ridge = covariance @ torch.linalg.inv(covariance + weight_decay * torch.eye(3, dtype=torch.float64))
    labels = torch.zeros(1, 2, dtype=torch.long)
    network = Network([ridge[None]], "linear")
    _, gradient, _ = network.gradient(x, x)
    residual = (gradient[0] + weight_decay * ridge).norm(dim=(1, 2))
    gap, _ = all_gaps(network, x, x, labels)
    bound = distance_bound(residual, gap[:, 0, 0], weight_decay)
    assert float(torch.linalg.svdvals(ridge)[1:].norm()) == pytest.approx(float(bound[0]), rel=1e-9)


def test_without_weight_decay_the_theorem_is_void():
    bound = distance_bound([1.0, 1.0], [2.0, 2.0], [0.0, 0.5])
    assert np.isnan(bound[0])
    assert bound[1] == 6


def test_bad_input_is_named():
    network, x, y, labels = draw()
    emptied = torch.where(labels == 2, 0, labels)
    emptied[0] = labels[0]
    w1, w2, w3 = network.weights
    broken = w2.clone()
    broken[2, 0, 0] = torch.nan
    for changes, message in (
        ({"labels": emptied}, "cluster 2 of cell 1 is empty"),
        ({"labels": labels[:, 1:]}, "labels have shape .3, 29., but must have .3, 30., one per point"),
        ({"labels": labels + 1}, "a label is 3, but must be less than K = 3"),
        ({"network": Network([w1, broken, w3])}, "W_2 of cell 2 are not finite"),
        ({"network": Network([w3, w2, w1])}, "W_1 have shape"),
        ({"y": y[:, :-1]}, "the targets have shape .3, 29, 5., but must have .3, 30, 5."),
        ({"z": x * torch.inf}, "the inputs of cell 0 are not finite"),
    ):
        given = {"network": network, "z": x, "y": y, "labels": labels, **changes}
        with pytest.raises(ValueError, match=message):
            centroid_gap_bound(**given, clusters=CLUSTERS)


@pytest.mark.parametrize("activation", SMOOTH)
def test_derivative_bounds_are_the_suprema(activation):
    def derivatives(t, order):
        value = ACTIVATIONS[activation].value(t, None)
        for _ in range(order):
            (value,) = torch.autograd.grad(value.sum() + 0 * (t**4).sum(), t, create_graph=True)
        return value

    t = torch.linspace(-5, 5, 100_001, dtype=torch.float64, requires_grad=True)
    for order, bound in enumerate(ACTIVATIONS[activation].derivative_bounds, start=1):
        assert float(derivatives(t, order).detach().abs().max()) == pytest.approx(bound, rel=1e-6)


def gradient_at(network, layer):
    """The function (z, y) -> grad_{W_l} ell(f(z), y) of one network, as a vector."""

    def g(pair):
        z, y = pair.split([network.weights[0].shape[2], network.weights[-1].shape[1]])
        return network.gradient(z[None, None], y[None, None])[1][layer][0].flatten()

    return g


def curvature(network, layer, pair):
    """The largest ||D^2 g [v, v]|| over unit v, by gradient ascent from many directions."""
    hessian = torch.func.hessian(gradient_at(network, layer))(pair)
    v = torch.randn(50, len(pair), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for _ in range(100):
        v = v / v.norm(dim=1, keepdim=True)
        half = torch.einsum("gij,bj->bgi", hessian, v)
        value = torch.einsum("bgi,bi->bg", half, v)
        v = v + torch.einsum("bg,bgi->bi", value, half) / value.square().sum(1, keepdim=True)
    return float(value.norm(dim=1).max())


@pytest.mark.parametrize("activation", SMOOTH)
def test_m_bounds_the_second_derivative_all_over_the_ball(activation):
    stack, x, y, _ = draw(seed=3, activation=activation, bias=True)
    network = of_cell(stack, 0)
    network = replace(network, weights=[w.detach() for w in network.weights])
    generator = torch.Generator().manual_seed(1)
    radius = torch.tensor([[0.5]], dtype=torch.float64)
    m = second_derivative_bound(network, x[:1, :1], y[:1, :1], radius)[0, 0]
    centre = torch.cat([x[0, 0], y[0, 0]])
    for _ in range(2):
        step = torch.randn(len(centre), generator=generator, dtype=torch.float64)
        pair = centre + 0.5 * step / step.norm()
        for layer in range(3):
            assert 0 < curvature(network, layer, pair) <= float(m[layer])


def test_m_is_exact_for_one_linear_layer():
    """g = (W z - y) z', so M = s + sqrt(s^2 + 1), s = ||W||_2: a factor off by 10% shows."""
    network = Network([draw()[0].weights[0][:1]], "linear")
    zeros = torch.zeros(1, 1, 1, dtype=torch.float64)
    m = second_derivative_bound(network, zeros.expand(1, 1, 5), zeros.expand(1, 1, 7), zeros[0]).item()
    s = float(torch.linalg.svdvals(network.weights[0][0])[0])
    assert m == pytest.approx(s + (s**2 + 1) ** 0.5, rel=1e-12)
    assert curvature(network, 0, torch.ones(12, dtype=torch.float64)) == pytest.approx(m, rel=1e-4)


def test_lemma_3_3_is_sharp():
    """One linear layer, a cluster of two opposite points along the direction of largest curvature."""
    s = 1.5
    curvatures, directions = np.linalg.eigh([[2 * s, 1], [1, 0]])
    z, y = directions[:, np.argmax(curvatures)] * [1, -1]
    z, y = (torch.tensor([[[v], [-v]]]) for v in (z, y))
    network = Network([torch.tensor([[[s]]]).double()], "linear")
    gap, bound = all_gaps(network, z, y, torch.zeros(1, 2).long())
    assert float(gap) == pytest.approx(float(bound), rel=1e-12)


@pytest.mark.parametrize(
    ("layer", "second", "z", "y", "centre_z", "centre_y", "radius"),
    [
        (0, 1.0, (0, 1e3), 1e4, (0, 1e3), 1e4, 0),
        (1, 1.0, (float(np.arctanh(1 / 3**0.5)) / 100, 1e3), 1e4, None, 1e4, 0),
        (0, 1e-3, (0, 1e4), 1e9, (0, 0), 1e9, 1e4),
        (0, 1e-3, (0, 1e9), 1e4, (0, 1e9), 0, 1e4),
    ],
    ids=["third derivative", "second derivative", "far features", "far targets"],
)
def test_m_is_nearly_attained_where_one_term_rules(layer, second, z, y, centre_z, centre_y, radius):
    """A steep first layer, at the point where a derivative of tanh is largest, on the ball's rim or centre.

    The input's second entry is large and feeds nothing, and the target is far off, so that the
    other terms are small beside the one with that derivative.
    """
    network = Network([torch.tensor([[[100.0, 0.0]]]).double(), torch.tensor([[[second]]]).double()])
    z, y, radius = (torch.tensor(v).double() for v in (z, [y], [[radius]]))
    centre_z = z if centre_z is None else torch.tensor(centre_z).double()
    centre_y = torch.tensor([centre_y]).double()
    m = second_derivative_bound(network, centre_z[None, None], centre_y[None, None], radius)
    found = curvature(network, layer, torch.cat([z, y]))
    assert 0.97 * float(m[0, 0, layer]) < found <= float(m[0, 0, layer])


def test_without_bounded_derivatives_there_is_no_m():
    network, x, y, labels = draw()
    for how in ({"activation": "relu"}, {"activation": "tanh", "loss": "cross_entropy"}):
        bound = centroid_gap_bound(replace(network, **how), x, y, labels, CLUSTERS)
        assert bound.shape == (CELLS, 3)
        assert bound.isnan().all()


def test_the_rank_of_a_gradient_is_at_most_the_number_of_distinct_pairs():
    """Proposition 3.1, with equality while the pairs are fewer than the layer's sides."""
    for distinct in (1, 2, 4):
        stack, x, y, _ = draw(seed=distinct)
        chosen, network = torch.arange(POINTS) % distinct, of_cell(stack, 0)
        repeated = x[:1, chosen], y[:1, chosen]
        loss = (network.features(repeated[0])[-1] - repeated[1]).square().sum()
        assert gradient_rank_bound(*repeated).tolist() == [distinct]
        ranks = [int(torch.linalg.matrix_rank(g)) for g in torch.autograd.grad(loss, network.weights)]
        assert ranks == [distinct] * 3
    both = gradient_rank_bound(np.zeros((2, 3, 2)), np.arange(12).reshape(2, 3, 2) * [[[1]], [[0]]])
    assert both.tolist() == [3, 1]


def plain_outside(w, g, r):
    """W outside the r leading singular vectors of G, columns or rows, by numpy on one cell."""
    u, s, vt = np.linalg.svd(g)
    r = min(r, int((s > 1e-10 * s[0]).sum()))
    u, v = u[:, :r], vt[:r].T
    return min(np.linalg.norm(w - u @ (u.T @ w)), np.linalg.norm(w - (w @ v) @ v.T))


@pytest.mark.parametrize(("activation", "bias"), NETWORKS)
def test_the_projected_theorem_by_the_definition_of_the_residual(activation, bias):
    """The part of r_l - Delta, formed as such, that leaves the column or row space found by scipy."""
    network, x, y, labels = draw(activation=activation, bias=bias)
    _, gradient, _ = network.gradient(x, y)
    for k, z in enumerate(network.features(x)[:-1]):
        at_centroids = centroid_gradient(network.after(k), z, y, labels, CLUSTERS)
        for l, g in enumerate(at_centroids, start=k):
            w, (rho, found) = network.weights[l], outside_gradient(network.weights[l], g)
            assert found.shape == (CELLS, min(w.shape[1:]))
            for c, weight_decay in enumerate((0.3, 1e-3, 2.0)):
                residual = gradient[l][c] + weight_decay * w[c]
                rest = (residual - (gradient[l][c] - g[c])).numpy()
                columns, rows = null_space(g[c].numpy().T, 1e-10), null_space(g[c].numpy(), 1e-10)
                least = min(np.linalg.norm(columns.T @ rest), np.linalg.norm(rest @ rows)) / weight_decay
                rank = np.linalg.matrix_rank(g[c].numpy(), rtol=1e-10)
                assert int(rho[c]) == rank == CLUSTERS
                at_rho = float(found[c, rank - 1])
                assert at_rho == pytest.approx(least, rel=1e-9, abs=1e-12)
                assert (found[c, rank:] == at_rho).all()
                gap = float((gradient[l][c] - g[c]).norm())
                assert at_rho <= (float(residual.norm()) + gap) / weight_decay * (1 + 1e-12)


def test_the_projected_bound_is_attained_also_for_ranks_below_k():
    """Matrices of known parts: the space of the gradient, of rank 0 to 2, and what is outside it."""
    w = torch.diag(torch.tensor([5.0, 4.0, 3.0, 2.0], dtype=torch.float64))[None].repeat(4, 1, 1)
    g = torch.zeros_like(w)
    g[1:, 1, 1] = 7
    g[2:, 0, 0] = -1e-3
    g[3:, 2, 2] = 1e-11 * 7
    rho, bounds = outside_gradient(w, g)
    assert rho.tolist() == [0, 1, 2, 2], "rounding is no direction"
    all_of_it, without_4, distance_to_rank_2 = (
        sum(s**2 for s in of) for of in ((5, 4, 3, 2), (5, 3, 2), (3, 2))
    )
    expected = [
        [all_of_it] * 4,
        [without_4] * 4,  # not the best direction
        [without_4, *[distance_to_rank_2] * 3],
        [without_4, *[distance_to_rank_2] * 3],
    ]
    np.testing.assert_allclose(bounds.square(), expected, rtol=1e-14)


def test_columns_and_rows_each_may_hold_the_layer():
    """W = u v' and a gradient that shares its columns alone, or its rows alone: nothing is outside."""
    rng = np.random.default_rng(0)
    u, v, other = (torch.from_numpy(rng.normal(size=(1, 5, 1))) for _ in range(3))
    w = u @ v.mT
    for g in (u @ other.mT, other @ v.mT):
        rho, bounds = outside_gradient(w, g)
        assert rho.tolist() == [1]
        np.testing.assert_allclose(bounds, np.zeros((1, 5)), atol=1e-12)
    assert (outside_gradient(w, other @ other.mT)[1] > 0.1).all()


def of_spectrum(rows, columns, s, seed=0):
    """A matrix of given singular values."""
    rng = np.random.default_rng(seed)
    u, v = (np.linalg.qr(rng.normal(size=(n, len(s))))[0] for n in (rows, columns))
    return (u * s) @ v.T


# large ones, of which the first few are projected on 64, 64, 64, 128 and 64 random combinations
SPECTRA = {
    "rank 5": (300, 420, np.array([3.0, 3.0, 1.0, 1e-4, 1e-8]), 64),
    "wide": (257, 900, np.geomspace(1, 1e-2, 20), 64),
    "above rounding": (900, 256, np.geomspace(1, 1e-9, 30), 64),
    "rank 100": (640, 512, np.linspace(2, 1, 100), 128),
    "decaying beyond the tolerance": (300, 300, np.geomspace(1, 1e-16, 60), 64),
    "none": (300, 300, np.zeros(1), 64),
    "rank above a quarter": (300, 400, np.linspace(2, 1, 100), 300),
    "full": (260, 280, np.geomspace(1, 1e-3, 260), 260),
    "small": (255, 400, np.array([2.0, 1.0]), 255),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_singular_directions_are_numpys_whatever_the_size_and_the_rank(name):
    rows, columns, s, count = SPECTRA[name]
    # another cell, of rank 1 and another scale
    plain = np.stack([of_spectrum(rows, columns, s), of_spectrum(rows, columns, np.array([1e-7]), seed=1)])
    u, found, vh = (a.numpy() for a in singular_directions(torch.from_numpy(plain)))
    assert found.shape == (2, count), "as many as are projected on"
    for c in range(2):
        exact = np.linalg.svd(plain[c], compute_uv=False)
        kept = found[c] > RANK_TOLERANCE * found[c, 0]
        assert kept.sum() == (exact > RANK_TOLERANCE * exact[0]).sum()
        np.testing.assert_allclose(found[c, kept], exact[: kept.sum()], rtol=1e-9, atol=1e-12 * exact[0])
        left, right = u[c][:, kept], vh[c][kept]
        np.testing.assert_allclose(left.T @ left, np.eye(kept.sum()), atol=1e-12)
        np.testing.assert_allclose(right @ right.T, np.eye(kept.sum()), atol=1e-12)
        rebuilt = (left * found[c, kept]) @ right
        assert np.linalg.norm(rebuilt - plain[c]) <= 10 * RANK_TOLERANCE * np.linalg.norm(plain[c])


def test_large_layers_are_bounded_by_every_number_of_directions():
    """A gradient of rank 30 in a layer that it shares some directions with."""
    s = np.geomspace(1, 1e-3, 30)
    g = of_spectrum(300, 280, s)
    w = of_spectrum(300, 280, s) + 1e-2 * np.random.default_rng(2).normal(size=(300, 280)) / 300**0.5
    rho, bounds = outside_gradient(*(torch.from_numpy(a)[None] for a in (w, g)))
    assert rho.tolist() == [30]
    chosen = np.array([1, 2, 10, 29, 30, 31, 280])
    np.testing.assert_allclose(bounds[0][chosen - 1], [plain_outside(w, g, r) for r in chosen], rtol=1e-7)
