from itertools import pairwise, product

import numpy as np
import pytest
import torch

from nrc.networks.activations import ACTIVATIONS
from nrc.networks.mlp import Network
from nrc.theory import segments
from nrc.theory.centroids import centroid_gap, centroid_gap_bound
from nrc.theory.segments import Enclosure, Jet, Matrix, segment_gap_bound
from support.references import centroid_gradient

# torch's own, when it loads its vmap
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")

SIZES = (5, 7, 6, 5)
SMOOTH = [name for name, activation in sorted(ACTIVATIONS.items()) if activation.turning is not None]
CASES = [("tanh", True), ("linear", False)]
S = torch.linspace(-1, 1, 2001, dtype=torch.float64)


def normal(rng, *shape):
    return torch.from_numpy(rng.normal(size=shape))


def draw_network(rng, activation="tanh", bias=False, gain=1.0, cells=3):
    weights = [gain * normal(rng, cells, m, n) / n**0.5 for n, m in pairwise(SIZES)]
    biases = [normal(rng, cells, n) / 2 for n in SIZES[1:]] if bias else None
    return Network(weights, activation, biases=biases)


def draw_points(rng, sigma, cells=3):
    """Noise around means and targets, in uneven clusters that differ by cell."""
    labels = np.stack([rng.permutation(np.repeat([0, 1, 2], [15, 10, 5])) for _ in range(cells)])
    cell = np.arange(cells)[:, None]
    means, targets = (rng.normal(size=(cells, 3, SIZES[i])) for i in (0, -1))
    points = (
        torch.from_numpy(m[cell, labels]) + sigma * normal(rng, cells, 30, m.shape[2])
        for m in (means, targets)
    )
    return *points, torch.from_numpy(labels)


def opposite_points(rng, sigma, cells=3):
    """A cluster of two points, each the other's reflection at the centroid."""
    pair = torch.tensor([1.0, -1.0]).double()[:, None]
    points = (
        normal(rng, cells, 1, n) + sigma * normal(rng, cells, 1, n) * pair for n in (SIZES[0], SIZES[-1])
    )
    return *points, torch.zeros(cells, 2).long()


def sources(network, x, y, labels):
    """The network after each k with the arguments of `segment_gap_bound`, and gap_{k,l} there."""
    _, gradient, _ = network.gradient(x, y)
    for k, z in enumerate(network.features(x)[:-1]):
        after = network.after(k), z, y, labels, int(labels.max()) + 1
        yield after, centroid_gap(gradient[k:], centroid_gradient(*after))


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize(("activation", "bias"), CASES)
def test_the_gap_is_never_above_the_bound_nor_that_above_the_older_one(activation, bias, pieces):
    for seed, sigma, gain in product(range(1), (0.01, 0.3, 1.0), (0.5, 2.0)):
        rng = np.random.default_rng(seed)
        network, points = draw_network(rng, activation, bias, gain), draw_points(rng, sigma)
        for after, gap in sources(network, *points):
            bound = segment_gap_bound(*after, pieces=pieces)
            assert bound.shape == gap.shape
            assert (gap <= bound * (1 + 1e-9)).all()
            assert (bound <= centroid_gap_bound(*after)).all()


def second_derivatives(network, z, y, dz, dy, t):
    """d^2/dt^2 of the gradient in every weight of one network, at each t, by torch's own derivatives."""

    def gradient(t):
        return network.gradient((z + t * dz)[None, None], (y + t * dy)[None, None])[1]

    twice = torch.func.jacfwd(torch.func.jacfwd(gradient))
    return torch.stack([g.flatten(2).norm(dim=2)[:, 0] for g in torch.func.vmap(twice)(t)], dim=1)


@pytest.mark.parametrize(("activation", "bias"), CASES)
def test_no_second_derivative_on_a_segment_is_above_the_bound(activation, bias):
    """Of two opposite points and one piece, the bound is the mean of the halved suprema."""
    t = torch.linspace(0, 1, 101).double()
    for seed, sigma in enumerate((0.1, 0.5, 2.0)):
        rng = np.random.default_rng(seed)
        network, points = (
            draw_network(rng, activation, bias, 1.5, cells=1),
            opposite_points(rng, sigma, cells=1),
        )
        for (after, z, y, *_), _ in sources(network, *points):
            z, y = z[0], y[0]
            starts = z.mean(0), y.mean(0)
            found = [
                second_derivatives(after, *starts, z[i] - starts[0], y[i] - starts[1], t).amax(0) / 2
                for i in range(2)
            ]
            bound = segment_gap_bound(after, z[None], y[None], torch.zeros(1, 2).long(), 1, pieces=1)[0]
            assert (torch.stack(found).mean(0) <= bound * (1 + 1e-9)).all()


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize(("activation", "bias"), CASES)
def test_the_bound_is_sharp_for_small_opposite_deviations(activation, bias, pieces):
    """Both points then have the second derivative at the centroid, and the gap is half of it."""
    rng = np.random.default_rng(1)
    network, points = draw_network(rng, activation, bias), opposite_points(rng, 1e-4)
    for after, gap in sources(network, *points):
        torch.testing.assert_close(segment_gap_bound(*after, pieces=pieces), gap, rtol=5e-3, atol=0)


@pytest.mark.parametrize("pieces", [1, 3])
def test_the_bound_is_attained_by_a_linear_layer_whose_second_derivatives_align(pieces):
    """Deviations along one direction, as long as they like, in clusters of several sizes."""
    rng = np.random.default_rng(2)
    w, z, y = normal(rng, 1, 5, 7), normal(rng, 1, 3, 7), normal(rng, 1, 3, 5)
    labels = torch.tensor([[0, 0, 1, 1, 1, 1, 2, 2]])
    sizes = torch.tensor([1.0, -1, 3, -3, 0.5, -0.5, 2, -2]).double()[:, None]
    z, y = z[:, labels[0]] + sizes * normal(rng, 7), y[:, labels[0]] + sizes * normal(rng, 5)
    network = Network([w], "linear", biases=[normal(rng, 1, 5)])
    ((after, gap),) = sources(network, z, y, labels)
    torch.testing.assert_close(segment_gap_bound(*after, pieces=pieces), gap, rtol=1e-10, atol=0)


def test_with_short_pieces_the_bound_is_the_remainder():
    """(1/N) sum_j int (1 - t) ||g_j''(t)|| dt, by the midpoint rule."""
    rng = np.random.default_rng(3)
    network, points = draw_network(rng, bias=True, cells=1), opposite_points(rng, 0.3, cells=1)
    t = (torch.arange(200).double() + 0.5) / 200
    for (after, z, y, labels, clusters), _ in sources(network, *points):
        z_mean, y_mean = z[0].mean(0), y[0].mean(0)
        found = [
            second_derivatives(after, z_mean, y_mean, z[0, i] - z_mean, y[0, i] - y_mean, t) for i in (0, 1)
        ]
        remainder = ((1 - t)[:, None] * torch.stack(found).mean(0)).mean(0)
        bound = segment_gap_bound(after, z, y, labels, clusters, pieces=200)[0]
        assert (remainder <= bound * (1 + 1e-9)).all()
        torch.testing.assert_close(bound, remainder, rtol=0.05, atol=0)


def test_blocks_of_cells_and_of_points_make_no_difference(monkeypatch):
    rng = np.random.default_rng(4)
    network, points = draw_network(rng, bias=True), draw_points(rng, 0.3)
    expected = segment_gap_bound(network, *points, 3)
    for block in (7 * 4, 7 * 30 * 2):
        monkeypatch.setattr(segments, "BLOCK", block)
        torch.testing.assert_close(segment_gap_bound(network, *points, 3), expected, rtol=1e-12, atol=0)


def test_without_smoothness_there_is_no_bound():
    rng = np.random.default_rng(5)
    weights, points = draw_network(rng).weights, draw_points(rng, 0.3)
    for network in (Network(weights, "relu"), Network(weights, loss="cross_entropy")):
        bound = segment_gap_bound(network, *points, 3)
        assert bound.shape == (3, 3)
        assert bound.isnan().all()


def test_bad_input_is_named():
    rng = np.random.default_rng(6)
    network, (x, y, labels) = draw_network(rng), draw_points(rng, 0.3)
    for given, message in (
        ((x, y[:, :-1], labels, 3), "the targets have shape"),
        ((x * torch.inf, y, labels, 3), "the inputs of cell 0 are not finite"),
        ((x, y, labels, 4), "cluster 3 of cell 0 is empty"),
    ):
        with pytest.raises(ValueError, match=message):
            segment_gap_bound(network, *given)


# What is enclosed, in cases where the ends are reached.


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[None, :, None]


def assert_equal(x: Enclosure, middle, radius):
    for found, expected in ((x.middle, middle), (x.radius, radius), (x.ball, radius)):
        torch.testing.assert_close(found, column(expected))


def test_numbers_reach_the_ends_of_sums_and_products():
    x, y = Enclosure(column(-2), column(1)), Enclosure(column(3), column(0.5))
    assert_equal(x + y, 1, 1.5)
    assert_equal(x - y, -5, 1.5)
    assert_equal(x * y, -6, 4.5)  # (-3)(3.5) = -10.5
    assert_equal(y * x, -6, 4.5)
    assert_equal(x.within(y), -2, 1)
    assert_equal(x.within(Enclosure(column(0.3), column(0.4))), -2, 0.7)


def test_vectors_stay_in_balls_smaller_than_their_boxes():
    x = Enclosure(column(1, -2), column(1, 1), column(1))
    rotation = Matrix(torch.tensor([[[1, 1], [1, -1]]]).double(), column(2**0.5))
    turned = rotation @ x
    torch.testing.assert_close(turned.middle, column(-1, 3))
    torch.testing.assert_close(turned.radius, column(2, 2))
    torch.testing.assert_close(turned.ball, column(2**0.5))
    torch.testing.assert_close((rotation.transposed @ x).middle, column(-1, 3))
    assert Enclosure(x.middle, x.radius).ball.item() == pytest.approx(2**0.5)
    assert (x + x).ball.item() == 2
    steady = Enclosure(column(2, 2), column(0, 0))
    assert (steady * x).ball.item() == (x * steady).ball.item() == 2
    derivative = Enclosure(column(0.3, 0.4), column(0.6, 0.6), column(0.2))
    assert x.within(derivative).ball.item() == pytest.approx(0.7)


def test_a_product_of_lines_reaches_its_ends():
    """(1 + s)(3 + 2 s) = 3 + 5 s + 2 s^2."""
    f, g = Jet.line(column(1), column(1)), Jet.line(column(3), column(2))
    assert_equal((f * g).value, 3, 7)
    assert_equal((f * g).first, 5, 4)
    assert_equal((f * g).second, 4, 0)
    assert_equal((f - g).value, -2, 1)  # the derivative is -1, and no more
    assert_equal((f - g).first, -1, 0)
    assert_equal(f.shifted(column(5)).value, 6, 1)


@pytest.mark.parametrize("activation", SMOOTH)
def test_an_activation_of_a_line_reaches_its_ends(activation):
    """Where middle and step are such that the ends or any of the turning points are extremes."""
    for middle, step in product((-2.0, -0.8, 0.0, 0.5, 1.2), (0.05, 0.4, 1.5)):
        t = (middle + step * S).requires_grad_()
        jets = Jet.line(column(middle), column(step)).activated(activation)
        values = [ACTIVATIONS[activation].value(t, None)]
        for _ in range(3):
            (grad,) = torch.autograd.grad(values[-1].sum() + 0 * t.sum(), t, create_graph=True)
            values.append(step * grad)
        # phi, its slope apart from the step, and derivatives in s
        expected = (values[0], *values[1:3]), (values[1] / step, values[2] / step, values[3] / step)
        for jet, functions in zip(jets, expected, strict=True):
            for found, function in zip((jet.value, jet.first, jet.second), functions, strict=True):
                at = function[len(S) // 2].item()
                assert found.middle.item() == pytest.approx(at, abs=1e-12)
                furthest = (function - at).abs().max().item()
                assert found.radius.item() == pytest.approx(furthest, rel=1e-5, abs=1e-12)


def test_the_chain_rule_of_a_curve():
    """tanh(a) and its slope for a = (0.3 + 0.2 s)(1 - 0.4 s), by torch's derivatives."""
    a = Jet.line(column(0.3), column(0.2)) * Jet.line(column(1), column(-0.4))

    def curve(s):
        return torch.tanh((0.3 + 0.2 * s) * (1 - 0.4 * s))

    functions = curve, lambda s: 1 - curve(s) ** 2
    for jet, function in zip(a.activated("tanh"), functions, strict=True):
        for found in (jet.value, jet.first, jet.second):
            along = torch.func.vmap(function)(S)
            assert found.middle.item() == pytest.approx(along[len(S) // 2].item(), rel=1e-12)
            furthest = (along - found.middle.item()).abs().max().item()
            assert furthest <= found.radius.item() <= 4 * furthest
            function = torch.func.grad(function)
