"""Groups of neurons and the potential of a layer, against plain loops, finite differences and known minima."""

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

import nrc
from nrc.audit import STATEMENTS
from nrc.measured_network import MeasuredStack
from nrc.measures.network import measure
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


def measured(network, x, y, decay):
    shape = len(x), len(network.weights)
    return measure(
        MeasuredStack(network, x, y),
        labels=np.arange(x.shape[1])[None].repeat(len(x), 0) % 3,
        clusters=3,
        weight_decay=np.broadcast_to(np.asarray(decay)[:, None], shape).copy(),
        collapsed=np.zeros(len(x), dtype=bool),
        seeds=list(range(len(x))),
        kmeans_restarts=1,
    )


def test_measures_of_a_minimum(minimum):
    network, z, y, decay = minimum
    found = measured(network, z[0], y, [decay]).isel(cell=0)
    distinct = [tree(network.weights[l][0].numpy(), True).groups(1e-3).max() + 1 for l in (0, 1)]
    assert found["distinct_neurons"].values[:2].tolist() == distinct
    assert found["distinct_neurons"].isnull().values.tolist() == [False, False, True]
    # the rank of each layer is the smaller number of distinct neurons; three inputs, two outputs
    expected = [min(3, distinct[0]), min(distinct), min(distinct[1], 2)]
    assert found["neuron_rank"].values.tolist() == expected
    s = found["singular_values"].values
    gaps = [s[l, r] / s[l, r - 1] if r < np.isfinite(s[l]).sum() else np.nan for l, r in enumerate(expected)]
    np.testing.assert_allclose(found["neuron_gap"], gaps, rtol=1e-3)
    assert np.nanmax(gaps) < 1e-4
    assert (found["groups_at_maxima"] == found["merged_groups"])[:2].all()
    assert (found["merged_groups"][:2] > 0).all()
    assert (found["potential_curvature_groups"][:2] < 0).all()
    assert (found["potential_gradient"][:2] < 1e-4).all()
    assert (found["norm_spread"][:2] < 1e-4).all()
    alive = 12 - found["dead_neurons"].values[:2]
    np.testing.assert_array_equal(found["neuron_angles"].sum("decade")[:2], alive * (alive - 1) / 2)
    at = distinct[0] - 1
    assert found["neuron_bound"][1, at] < 1e-4
    assert found["neuron_bound_random"][1, at] > 0.05


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "gelu", "silu", "relu"])
def test_statements_about_neurons_hold_at_random_weights(activation, bias):
    network, x, y, *_ = draw(activation, bias)
    found = measured(network, x, y, DECAY.numpy())
    for statement in STATEMENTS:
        if statement.name.startswith("Merged neurons") and not statement.observed:
            quantity, bound = statement.sides(found)
            both = quantity.notnull() & bound.notnull()
            assert both.any(), statement.name
            assert (quantity <= bound * (1 + 1e-9) + 1e-12).where(both, True).all(), statement.name
    for control in ("neuron_scatter_random", "neuron_bound_random"):
        known = found[control].notnull()
        assert (found["relative_tail"] <= found[control] + 1e-12).where(known, True).all()
    # away from stationary points neurons are not at critical points, and curvature says nothing
    assert found["groups_at_maxima"].isnull().all()


def test_a_collapsed_cell_and_a_penalty_on_the_product_have_no_numbers():
    network, x, y, *_ = draw("tanh", False)
    collapsed = np.array([False, True])
    common = {"labels": None, "clusters": 3, "collapsed": collapsed, "seeds": [0, 1], "kmeans_restarts": 1}
    found = measure(MeasuredStack(network, x, y), weight_decay=None, **common)
    assert found["distinct_neurons"].notnull().values.tolist() == [[True, True, False], [False] * 3]
    assert found["neuron_scatter"].notnull().any()
    for name in ("neuron_bound", "neuron_rank", "potential_gradient", "groups_at_maxima"):
        assert found[name].isnull().all()


def test_blocks_of_columns_of_convolutions_certify_multiples_of_their_number():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3),
        nn.Tanh(),
        nn.Conv2d(6, 5, 2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(20, 20),
    ).double()
    with torch.no_grad():
        for l in (0, 2):  # channels in pairs, with opposite signs
            for parameter in (model[l].weight, model[l].bias):
                parameter[1] = -parameter[0]
                parameter[3] = -parameter[2]
    x = np.random.default_rng(0).normal(size=(24, 1, 7, 7))
    found = nrc.measure(model.eval(), x, np.arange(24) % 3, weight_decay=0.1, restarts=1)
    assert found["distinct_neurons"].values[:2].tolist() == [4, 3]
    known = found["neuron_bound"].notnull()
    # kernels of 2 x 2, features of 2 x 2 positions
    assert known.any("index").values.tolist() == [False, True, True]
    assert known.idxmax("index").values[1:].tolist() == [4, 4]
    assert (found["relative_tail"] <= found["neuron_bound"] + 1e-12).where(known, True).all()
    gradient, weight = found["residual"], model[6].weight.detach().flatten(1)
    columns = -(found["neuron_bound"][2, 11] * weight.norm().item() - gradient[2] / 0.1)
    assert columns == pytest.approx(0, abs=1e-9)  # three groups of equal channels


def test_modules_have_the_measures_of_stacks_with_biases_and_tokens():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 6), nn.GELU(), nn.Linear(6, 2)).double().eval()
    x = np.random.default_rng(2).normal(size=(20, 3))
    y = np.random.default_rng(3).normal(size=(20, 2))
    weights, biases = (
        [model[l].weight.detach()[None] for l in (0, 2)],
        [model[l].bias.detach()[None] for l in (0, 2)],
    )
    stack = MeasuredStack(
        Network(weights, "gelu", "squared_error", biases),
        torch.from_numpy(x)[None],
        torch.from_numpy(y)[None],
    )
    settings = {
        "labels": None,
        "clusters": 2,
        "collapsed": np.array([False]),
        "seeds": [0],
        "kmeans_restarts": 1,
    }
    of_stack = measure(stack, weight_decay=np.full((1, 2), 0.1), **settings).isel(cell=0)
    of_module = nrc.measure(model, x, y, clusters=2, weight_decay=0.1, loss="squared_error", restarts=1)
    without = nrc.measure(
        model,
        x,
        y,
        clusters=2,
        loss="squared_error",
        restarts=1,
        weight_decay={"0.weight": 0.1, "2.weight": 0.1},
    )
    for name in ("potential_gradient", "potential_gradient_bound", "neuron_bound", "neuron_scatter"):
        np.testing.assert_allclose(of_module[name], of_stack[name], rtol=1e-9, err_msg=name)
    assert without["potential_gradient"][0] != of_module["potential_gradient"][0]
    assert without["potential_gradient"][0] <= without["potential_gradient_bound"][0]
    # each of two tokens passes the same layers, and the loss is that of their mean
    tokens = nn.Sequential(model, nn.Flatten(), nn.Linear(4, 2)).double().eval()
    found = nrc.measure(tokens, x.reshape(10, 2, 3), np.arange(10) % 2, weight_decay=0.1, restarts=1)
    assert found["potential_gradient"][0] <= found["potential_gradient_bound"][0]
