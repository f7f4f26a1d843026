"""K-FAC compared with plain loops, and inputs in their principal axes."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from nrc.networks.losses import LOSSES
from nrc.networks.mlp import Architecture
from nrc.networks.workspace import FRESH
from nrc.objectives.principal_axes import Rotation
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.optimize.kfac import KFAC, random_signs
from nrc.random_streams import Stream, generator
from support.problems import classifiers, normal

SHARES = torch.softmax(normal(2, 50), 1)


def kfac(objective, theta):
    return partial(KFAC.times, objective, KFAC.at(objective, theta))


def problem(loss="cross_entropy", bias=False, shares=None):
    objective, theta, _ = classifiers(loss=loss, bias=bias)
    return replace(objective, shares=shares), theta


def plain_blocks(objective, theta, cell):
    """A and B of every layer of one cell, a point at a time."""
    network = objective.network(theta)
    x, y = (a[min(cell, len(a) - 1)] for a in (objective.x, objective.y))
    points, outputs = y.shape
    signs, blocks = random_signs(points, outputs), None
    for i in range(points):
        p = 1 / points if objective.shares is None else objective.shares[cell, i]
        z, pulled = [x[i]], None
        for l, w in enumerate(network.weights):
            a = w[cell] @ z[-1] + (0 if network.biases is None else network.biases[l][cell])
            z.append(torch.tanh(a) if l < len(network.weights) - 1 else a)
        s = z[-1].softmax(0)
        u = signs[i] if objective.loss == "squared_error" else s.sqrt() * signs[i] - s * (s.sqrt() @ signs[i])
        pulled = [u]
        for l in range(len(network.weights) - 1, 0, -1):
            pulled.insert(0, (network.weights[l][cell].mT @ pulled[0]) * (1 - z[l] ** 2))
        ones = [
            torch.cat([a, torch.ones(1, dtype=a.dtype)]) if network.biases is not None else a for a in z[:-1]
        ]
        these = [(p * torch.outer(a, a), p * torch.outer(u, u)) for a, u in zip(ones, pulled, strict=True)]
        blocks = (
            these
            if blocks is None
            else [(a + c, b + d) for (a, b), (c, d) in zip(blocks, these, strict=True)]
        )
    return blocks


@pytest.mark.parametrize(
    ("loss", "shares", "bias"),
    [("squared_error", SHARES, False), ("cross_entropy", None, False), ("cross_entropy", SHARES, True)],
)
def test_it_inverts_kronecker_products_of_moments(loss, shares, bias):
    """(B x A + lambda I) H_0 q = q, B x A as a matrix."""
    objective, theta = problem(loss, bias, shares)
    q = normal(*theta.shape)
    result = kfac(objective, theta)(q)
    before, after = objective.network(q), objective.network(result)
    for cell in range(len(theta)):
        for l, (a, b) in enumerate(plain_blocks(objective, theta, cell)):
            both = [n.weights[l][cell] for n in (before, after)]
            if bias:
                both = [
                    torch.cat([w, n.biases[l][cell][:, None]], 1)
                    for w, n in zip(both, (before, after), strict=True)
                ]
            there = torch.kron(b, a) @ both[1].flatten() + objective.weight_decay[cell] * both[1].flatten()
            torch.testing.assert_close(there, both[0].flatten(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("loss", LOSSES)
def test_roots_and_products_are_of_the_second_derivative(loss):
    """Against autograd; the mean over all signs of u u' is the matrix itself."""
    output, y, signs = normal(1, 1, 4), normal(1, 1, 4, seed=1).softmax(-1), normal(1, 1, 4)

    def ell(f):
        return LOSSES[loss].gradient(f[None, None], y, 1.0, FRESH)[0].sum()

    exact = torch.autograd.functional.hessian(ell, output[0, 0])
    curvature = LOSSES[loss]
    torch.testing.assert_close(curvature.curvature(output, y, signs)[0, 0], exact @ signs[0, 0])
    patterns = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 4)
    roots = torch.stack([curvature.root(output, y, pattern)[0, 0] for pattern in patterns])
    torch.testing.assert_close(roots.mT @ roots / len(roots), exact)


def test_signs_have_their_own_stream_of_random_numbers():
    assert len(Stream) == len(Stream.__members__), "two purposes share a key"
    expected = generator(0, Stream.KFAC_SIGNS).choice([-1.0, 1.0], size=(9, 4))
    assert torch.equal(random_signs(9, 4), torch.from_numpy(expected))


def test_it_has_the_same_bits_for_a_cell_alone():
    objective, theta = problem(bias=True)
    q = normal(*theta.shape)
    together = kfac(objective, theta)(q)
    for c in range(len(theta)):
        cell = torch.tensor([c])
        assert torch.equal(kfac(objective.select(cell), theta[cell])(q[cell])[0], together[c])


# ---- inputs in their principal axes ---------------------------------------------------------------


def thin(cells=2, shares=None):
    """Networks on points that span 3 and 2 of 6 dimensions."""
    architecture = Architecture((6, 4, 5, 3), "tanh", True)
    x = torch.stack([normal(11, k, seed=k) @ normal(k, 6, seed=k) for k in (3, 2)])[:cells]
    y = normal(len(x), 11, 3).softmax(-1)
    objective = RegularisedLoss(
        architecture, x, y, torch.tensor([0.1, 0.2], dtype=torch.float64), shares, loss="cross_entropy"
    )
    return objective, normal(2, architecture.parameters)


@pytest.mark.parametrize(("cells", "shares"), [(1, None), (2, torch.softmax(normal(2, 11), 1))])
def test_a_rotated_network_has_the_same_outputs_and_diagonal_moments(cells, shares):
    objective, theta = thin(cells, shares)
    rotation = Rotation.of(objective)
    rotated = rotation.rotate(objective)
    assert rotated.select(torch.tensor([1])).principal_axes
    assert rotated.architecture.sizes == (3, 4, 5, 3)
    inside = rotation.into(objective, theta)
    there = rotated.network(inside).features(rotated.x)[-1]
    torch.testing.assert_close(there, objective.network(theta).features(objective.x)[-1])
    p = torch.full((2, 11), 1 / 11, dtype=torch.float64) if shares is None else shares
    moments = (p[:, :, None] * rotated.x).mT @ rotated.x
    torch.testing.assert_close(
        moments, torch.diag_embed(moments.diagonal(dim1=1, dim2=2)), rtol=0, atol=1e-12
    )
    # back again: the same network, without the part of W_1 that is orthogonal to all points
    back = rotation.back(rotated, inside)
    assert back.shape == theta.shape
    assert (back.norm(dim=1) < theta.norm(dim=1)).all()
    torch.testing.assert_close(rotation.into(objective, back), inside)
    torch.testing.assert_close(
        objective.network(back).features(objective.x)[-1], objective.network(theta).features(objective.x)[-1]
    )
    ours, other = rotated.at(inside), objective.at(back)
    torch.testing.assert_close(ours.value, other.value)
    torch.testing.assert_close(
        rotated.relative_residual(inside, ours.gradient), objective.relative_residual(back, other.gradient)
    )


def test_diagonal_moments_are_used_as_they_are():
    objective, theta, _ = classifiers(bias=False)
    rotation = Rotation.of(objective)
    rotated, inside = rotation.rotate(objective), rotation.into(objective, theta)
    full = replace(rotated, principal_axes=False)
    q = normal(*inside.shape)
    torch.testing.assert_close(kfac(rotated, inside)(q), kfac(full, inside)(q), rtol=1e-8, atol=1e-10)
