"""Groups of neurons and the potential of a layer, against plain loops, finite differences and known minima."""

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from nrc.networks.activations import ACTIVATIONS
from nrc.networks.mlp import Architecture, Network
from nrc.theory.neurons import angles, neuron_bound, tree
from nrc.theory.potential import Potential
from support.problems import normal

CELLS, POINTS, SIZES = 2, 30, (5, 9, 4, 3)


def copies(rng, noise=0.0, odd=True, dead=1, scaled=False):
    """Nine neurons in three groups, with noise, and neurons at zero."""
    group = np.arange(9) % 3
    sign = rng.choice([-1.0, 1.0], 9) if odd else np.ones(9)
    scale = rng.uniform(0.5, 2, 9) if scaled else np.ones(9)
    rows = (sign * scale)[:, None] * rng.normal(size=(3, 6))[group] + noise * rng.normal(size=(9, 6))
    return np.concatenate([rows, np.zeros((dead, 6))]), group, sign * scale


def tail(matrix, d):
    return np.sqrt(np.sum(np.linalg.svd(matrix, compute_uv=False)[d:] ** 2))


def plain_scatter(vectors, labels, coefficients):
    """The sum over groups of the residuals of a least squares fit by multiples of one vector."""
    total = 0.0
    for label in set(labels):
        a, v = coefficients[labels == label, None], vectors[labels == label]
        c = np.zeros_like(v[:1]) if label < 0 else np.linalg.lstsq(a, v, rcond=None)[0]
        total += ((v - a * c) ** 2).sum()
    return total


@pytest.mark.parametrize("odd", [False, True])
def test_angles_are_those_between_rows_or_lines(odd):
    rows = np.random.default_rng(0).normal(size=(6, 4))
    rows[3] = -2 * rows[0] + 1e-9 * rows[1]
    for i, j in combinations(range(6), 2):
        a, b = (
            rows[k].astype(np.longdouble) / np.sqrt((rows[k].astype(np.longdouble) ** 2).sum())
            for k in (i, j)
        )
        b = -b if odd and a @ b < 0 else b
        plain = 2 * np.arctan2(np.sqrt(((a - b) ** 2).sum()), np.sqrt(((a + b) ** 2).sum()))
        np.testing.assert_allclose(angles(rows, odd)[i, j], float(plain), rtol=1e-6)


@pytest.mark.parametrize("odd", [False, True])
def test_groups_are_copies_up_to_sign_if_the_activation_is_odd(odd):
    rows, group, sign = copies(np.random.default_rng(1), noise=1e-9, dead=2)
    labels = tree(rows, odd).groups(1e-6)
    same = labels[:, None] == labels
    expected = group[:, None] == group if odd else (group[:, None] == group) & (sign[:, None] == sign)
    np.testing.assert_array_equal(same[:9, :9], expected)
    assert (labels[9:] == -1).all()
    assert (labels[:9] >= 0).all()


def test_norms_count_unless_the_activation_is_homogeneous():
    rows, group, _ = copies(np.random.default_rng(2), odd=False, scaled=True, dead=0)
    assert len(set(tree(rows, False).groups(1e-6))) == 9
    labels = tree(rows, False, homogeneous=True).groups(1e-6)
    np.testing.assert_array_equal(labels[:, None] == labels, group[:, None] == group)


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("homogeneous", [False, True])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_scatter_in_the_groups_of_the_tree_bounds_the_distance_to_their_number(odd, homogeneous, noise):
    rng = np.random.default_rng(3)
    rows, *_ = copies(rng, noise, odd, dead=2, scaled=homogeneous)
    columns = rng.normal(size=(11, 4))
    of_tree = tree(rows, odd, homogeneous)
    for of in (of_tree, of_tree.permuted(rng)):
        of_rows, of_columns = of.scatter(columns)
        assert (np.diff(of_rows) <= 1e-12).all()
        for d in range(1, 12):
            assert tail(rows, d) <= np.sqrt(of_rows[d - 1]) + 1e-12
            assert tail(columns, d) <= np.sqrt(of_columns[d - 1]) + 1e-12
    for tolerance in (*of_tree.merges[:, 2], np.inf):
        labels = of_tree.groups(tolerance)
        d = labels.max() + 1
        # far apart, the sign of a group depends on the reference
        if d >= 3 or not odd:
            a = of_tree.coefficients(labels)
            plain = [plain_scatter(v, labels, a) for v in (rows, columns)]
            found = [of[d - 1] for of in of_tree.scatter(columns)]
            np.testing.assert_allclose(found, plain, rtol=1e-9, atol=1e-12)
    if noise == 0:
        assert of_tree.scatter()[0][2] < 1e-24


def test_random_groups_of_the_same_sizes_certify_little():
    rng = np.random.default_rng(4)
    rows, *_ = copies(rng, dead=0)
    size = (rows**2).sum()
    assert tree(rows, True).scatter()[0][2] < 1e-24 * size
    assert tree(rows, True).permuted(rng).scatter()[0][2] > 0.1 * size


def draw(activation, bias, loss="squared_error"):
    """Networks, data, and the derivatives delta^1, ..., delta^L of the loss, which is a mean over points."""
    shapes = list(zip(SIZES[1:], SIZES[:-1], strict=True))
    biases = [normal(CELLS, size, seed=7) / 2 for size in SIZES[1:]] if bias else None
    network = Network([normal(CELLS, *shape) / shape[1] ** 0.5 for shape in shapes], activation, loss, biases)
    x, y = normal(CELLS, POINTS, SIZES[0], seed=1), normal(CELLS, POINTS, SIZES[-1], seed=2).softmax(-1)
    z = [of.detach() for of in network.features(x)]
    a = [network.with_ones(z[l]) @ network.matrix(l + 1).mT for l in range(3)]
    output = a[-1].requires_grad_()
    value = (
        -(y * output.log_softmax(-1)).sum(-1)
        if loss == "cross_entropy"
        else (output - y).square().sum(-1) / 2
    )
    (delta,) = torch.autograd.grad(value.mean(1).sum(), output)
    return network, x, y, z, network.deltas(z[:-1], delta)


DECAY = torch.tensor([0.05, 0.02]).double()


def potential_of(network, z, deltas, l, shares=1.0):
    phi = ACTIVATIONS[network.activation].value
    return Potential(network.with_ones(z[l - 1]), deltas[l], lambda t: phi(t, None), DECAY, 2 * DECAY, shares)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "gelu", "silu", "relu", "leaky_relu", "linear"])
def test_the_gradient_of_the_potential_is_bounded_by_the_residuals_of_the_network(activation, bias):
    network, x, y, z, deltas = draw(activation, bias, "cross_entropy")
    _, gradient, of_biases = network.gradient(x, y)
    for l in (1, 2):
        potential, w = potential_of(network, z, deltas, l), network.matrix(l)
        v = network.weights[l].mT
        rows = torch.cat([gradient[l - 1], *([of_biases[l - 1][:, :, None]] if bias else [])], 2)
        r, s = rows + DECAY[:, None, None] * w, gradient[l].mT + 2 * DECAY[:, None, None] * v
        found = potential.gradient(w)
        # for each neuron alone: -lambda grad G = r_j + J' s_j / mu
        for c in range(CELLS):
            for j in range(w.shape[1]):
                inputs = potential.z[c]
                t = (inputs @ w[c, j]).requires_grad_()
                phi = ACTIVATIONS[activation].value(t, None)
                slope = torch.ones_like(t) if activation == "linear" else torch.autograd.grad(phi.sum(), t)[0]
                jacobian = -(deltas[l][c].T * slope.detach()) @ inputs
                plain = -(r[c, j] + jacobian.T @ s[c, j] / (2 * DECAY[c])) / DECAY[c]
                np.testing.assert_allclose(found[c, j], plain, rtol=1e-8, atol=1e-10)
        # equal where a unit of ReLU is off for all points
        assert (found.norm(dim=2) <= potential.gradient_bound(w, v) * (1 + 1e-12)).all()
        np.testing.assert_allclose(
            potential.outgoing(w), -gradient[l].mT / (2 * DECAY)[:, None, None], atol=1e-12
        )


@pytest.mark.parametrize("activation", ["tanh", "gelu", "silu", "linear"])
def test_gradient_and_hessian_are_derivatives_of_the_value(activation):
    network, _, _, z, deltas = draw(activation, bias=True)
    shares = torch.tensor([1.0] * 5 + [0.3]).double().expand(CELLS, -1)
    potential = potential_of(network, z, deltas, 1, shares)
    w = normal(CELLS, 3, 6, seed=5)
    variable = w.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(potential.value(variable).sum(), variable)
    np.testing.assert_allclose(potential.gradient(w), gradient, rtol=1e-9, atol=1e-9)
    hessian = potential.hessian(w)
    for k in range(6):
        step = 1e-5 * torch.eye(6)[k].double()
        plain = (potential.gradient(w + step) - potential.gradient(w - step)) / 2e-5
        np.testing.assert_allclose(hessian[..., k], plain, rtol=1e-5, atol=1e-4)
    for c in range(CELLS):
        alone = potential.of_cell(c)
        largest = torch.linalg.eigvalsh(hessian[c])[:, -1]
        np.testing.assert_allclose(alone.largest_curvature(w[c]), largest, rtol=1e-9)
        found = torch.stack([alone._found(one) for one in w[c]])
        np.testing.assert_allclose(found, largest, rtol=1e-5)


@pytest.fixture(scope="module")
def minimum():
    """A stationary tanh network 3-12-12-2 with weight decay 0.03, by scipy."""
    rng, decay = np.random.default_rng(3), 0.03
    x = torch.from_numpy(rng.normal(size=(1, 24, 3)))
    y = torch.stack([torch.sin(x[..., 0]), x[..., 1] / 2], -1)
    architecture = Architecture((3, 12, 12, 2))

    def objective(theta):
        theta = torch.from_numpy(theta)
        value, gradient, _ = architecture.network(theta[None]).gradient(x, y)
        whole = architecture.join(gradient)[0] + decay * theta
        return (value[0] + decay / 2 * theta @ theta).item(), whole.numpy()

    theta = rng.normal(size=architecture.parameters) / 2
    options = {"maxcor": 50, "maxiter": 20000, "maxfun": 20000, "ftol": 0, "gtol": 1e-12}
    for _ in range(20):
        theta = minimize(objective, theta, jac=True, method="L-BFGS-B", options=options).x
    assert np.linalg.norm(objective(theta)[1]) < 1e-7 * decay * np.linalg.norm(theta)
    network = architecture.network(torch.from_numpy(theta)[None])
    return network, network.features(x), y, decay


def test_neurons_of_a_minimum_merge_and_groups_are_at_local_maxima_of_the_potential(minimum):
    network, z, y, decay = minimum
    deltas = network.deltas(z[:-1], (z[-1] - y) / 24)
    lam = torch.tensor([decay]).double()
    for l in (1, 2):
        w, v = network.weights[l - 1], network.weights[l]
        of_tree = tree(w[0].numpy(), odd=True)
        labels = of_tree.groups(1e-4)
        d = labels.max() + 1
        assert 1 < d < 6
        # (a) and (b), and (c): the next layer has that rank
        gradient = (deltas[l].mT @ z[l])[0]
        residual = (gradient + decay * v[0]).norm().item()
        _, columns = of_tree.scatter(gradient.T.numpy())
        bound = neuron_bound(residual, columns, decay)
        assert tail(v[0].numpy(), d) <= bound[d - 1] < 1e-4
        random = of_tree.permuted(np.random.default_rng(0)).scatter(gradient.T.numpy())[1]
        assert neuron_bound(residual, random, decay)[d - 1] > 0.1
        # (e) and (f)
        potential = Potential(z[l - 1], deltas[l], torch.tanh, lam, lam)
        assert potential.gradient(w).norm(dim=2).max() < 1e-4
        alive = of_tree.members
        np.testing.assert_allclose(potential.outgoing(w)[0, alive], v[0].T[alive], atol=1e-5)
        sizes = np.bincount(labels[labels >= 0])
        merged = [j for j in alive if sizes[labels[j]] > 1]
        assert len(merged) > 5
        assert (potential.largest_curvature(w[0, merged]) < 0).all()
