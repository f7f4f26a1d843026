"""The centroid-based loss: the loss of the layers after z^k on one weighted point per cluster (eq. 8).

Its gradient has rank at most K in every layer, the basis of Theorem 3.4. Lemma 3.3 bounds its distance, the
gap, to the gradient of the loss. In this module `network` consists of the layers after z^k,
`Network.after(k)`, and z are the features z^k.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from nrc.networks.activations import ACTIVATIONS
from nrc.networks.mlp import Network

__all__ = [
    "centroid_gap",
    "centroid_gap_bound",
    "centroids",
    "outside_gradient",
    "second_derivative_bound",
    "singular_directions",
]

# Singular values below this share of the largest are 0 up to rounding.
RANK_TOLERANCE = 1e-10
# Initial number of random combinations of a gradient's columns: more than most data have clusters.
DIRECTIONS = 64

# Bounds on the norm of a function of (z, y), and of its first and second derivative.
Jet = tuple[Tensor, Tensor, Tensor]


def centroids(points: Tensor, labels: Tensor, clusters: int) -> tuple[Tensor, Tensor]:
    """Means of the clusters, and their shares N_i / N of the points.

    Parameters
    ----------
    points : Tensor
        (cells, points, p)
    labels : Tensor
        Cluster of each point, (cells, points), integers from 0.
    clusters : int
        K.

    Returns
    -------
    means : Tensor
        (cells, clusters, p)
    shares : Tensor
        (cells, clusters)

    Raises
    ------
    ValueError
        If a cluster is empty, a label is K or more, or there is not one label per point.

    Examples
    --------
    >>> points, labels = torch.tensor([[[0.0], [2.0], [5.0], [4.0]]]), torch.tensor([[0, 0, 1, 0]])
    >>> means, shares = centroids(points, labels, 2)
    >>> means.flatten().tolist(), shares.tolist()
    ([2.0, 5.0], [[0.75, 0.25]])
    """
    if labels.shape != points.shape[:2]:
        raise ValueError(
            f"labels have shape {tuple(labels.shape)}, but must have {tuple(points.shape[:2])}, one per point"
        )
    if labels.max() >= clusters:
        raise ValueError(f"a label is {int(labels.max())}, but must be less than K = {clusters}")
    members = one_hot(labels, clusters).to(points.dtype)
    sizes = members.sum(1)
    if (sizes == 0).any():
        cell, cluster = (sizes == 0).nonzero()[0].tolist()
        raise ValueError(f"cluster {cluster} of cell {cell} is empty; every cluster needs a point")
    return (members.mT @ points) / sizes[:, :, None], sizes / points.shape[1]


def centroid_gap(gradient: list[Tensor], at_centroids: list[Tensor]) -> Tensor:
    """gap_{k,l} = ||grad_{W_l} loss - grad_{W_l} loss_C^k||, the left side of Lemma 3.3.

    Parameters
    ----------
    gradient, at_centroids : list of Tensor
        Gradients of the loss and of the centroid-based loss in W_{k+1}, ..., W_L.

    Returns
    -------
    Tensor
        (cells, L - k), one column per layer.

    Examples
    --------
    >>> centroid_gap([torch.eye(2)[None]], [torch.diag(torch.tensor([1.0, 0.0]))[None]]).tolist()
    [[1.0]]
    """
    return torch.stack([(g - c).norm(dim=(1, 2)) for g, c in zip(gradient, at_centroids, strict=True)], dim=1)


def outside_gradient(w: Tensor, at_centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Distance of W_l to matrices of each rank in the column or the row space of the centroid gradient.

    This is Theorem 3.4, projected. With G = grad_{W_l} loss_C^k of rank rho, P and Q the projections onto
    its column and row space, and Delta the gradient of the loss less G, of norm gap_{k,l},
    lambda W_l = r_l - G - Delta; as (I - P) G = G (I - Q) = 0,

        dist(W_l, M_rho) <= min(||(I - P) W_l||, ||W_l (I - Q)||)
                          = min(||(I - P) (r_l - Delta)||, ||(r_l - Delta) (I - Q)||) / lambda
                         <= (||r_l|| + gap_{k,l}) / lambda,

    because P W_l and W_l Q have rank rho at most. Only the part of residual and gap outside the spaces
    counts. The first form is computed because it needs no difference of gradients. For r < rho the
    projections P_r and Q_r onto the r leading singular vectors of G bound dist(W_l, M_r) in the same way; the
    equality then has the additional term (I - P_r) G.

    In a layer that acts on each point once, rho is K at most. In a layer that acts on many positions of a
    point, such as a convolution or a layer on tokens, rho is K times their number at most. If G has the full
    rank of the layer, the bound is 0 at that rank and void.

    Parameters
    ----------
    w, at_centroids : Tensor
        W_l, and G, (cells, n_l, n_{l-1}).

    Returns
    -------
    rho : Tensor
        (cells,)
    bounds : Tensor
        Bounds on dist(W_l, M_r) for r = 1, ..., min(n_l, n_{l-1}), (cells, r), constant from rho on.

    Examples
    --------
    >>> w = torch.diag(torch.tensor([5.0, 3.0, 2.0])).double()[None]
    >>> g = torch.diag(torch.tensor([2.0, 1.0, 0.0])).double()[None]
    >>> rho, bounds = outside_gradient(w, g)
    >>> rho.tolist(), bounds.square().tolist()
    ([2], [[13.0, 4.0, 4.0]])
    """
    u, s, vh = singular_directions(at_centroids)
    counts = s > RANK_TOLERANCE * s[:, :1]
    u, v = u * counts[:, None], vh.mT * counts[:, None]
    of_columns, of_rows = u.mT @ w, (w @ v).mT
    bounds = torch.minimum(_left(w - u @ of_columns, of_columns), _left(w - of_rows.mT @ v.mT, of_rows))
    beyond = bounds[:, -1:].expand(-1, min(w.shape[1:]) - bounds.shape[1])
    return counts.sum(1), torch.cat([bounds, beyond], dim=1)


def _left(outside: Tensor, along: Tensor) -> Tensor:
    """Norm of a matrix without its components along the first r directions, (cells, r).

    Parameters
    ----------
    outside : Tensor
        The part outside all directions, (cells, n_l, n_{l-1}).
    along : Tensor
        The components along each direction, (cells, directions, n).
    """
    squares = torch.cat([along.square().sum(2), outside.square().sum((1, 2))[:, None]], dim=1)
    return squares.flip(1).cumsum(1).flip(1)[:, 1:].sqrt()


def singular_directions(g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U, s and V' of at least the singular values above `RANK_TOLERANCE` of the largest.

    Gradients at centroids have low rank. Large ones are therefore projected onto random combinations of their
    columns (Halko, Martinsson & Tropp 2011), whose number is doubled until the rest is rounding.

    Parameters
    ----------
    g : Tensor
        (cells, n_l, n_{l-1})

    Examples
    --------
    >>> u, s, vh = singular_directions(torch.ones(1, 2, 3).double())
    >>> u.shape, s.pow(2).tolist()
    (torch.Size([1, 2, 2]), [[6.0, 0.0]])
    """
    count = DIRECTIONS
    norm = g.norm(dim=(1, 2))
    generator = torch.Generator().manual_seed(0)
    while 4 * count <= min(g.shape[1:]):
        combinations = torch.randn(g.shape[2], count, generator=generator, dtype=g.dtype)
        q = torch.linalg.qr(g @ combinations.to(g.device)).Q
        inside = q.mT @ g
        if ((g - q @ inside).norm(dim=(1, 2)) <= RANK_TOLERANCE / 10 * norm).all():
            u, s, vh = torch.linalg.svd(inside, full_matrices=False)
            return q @ u, s, vh
        count *= 2
    u, s, vh = torch.linalg.svd(g, full_matrices=False)
    return u, s, vh


def centroid_gap_bound(network: Network, z: Tensor, y: Tensor, labels: Tensor, clusters: int) -> Tensor:
    """(M_{k,l} / 2) WCSS_k, the right side of Lemma 3.3.

    Parameters
    ----------
    network : Network
        The layers after z^k.
    z : Tensor
        Features z^k, (cells, points, n_k).
    y : Tensor
        Targets (cells, points, n_L).
    labels, clusters
        As in `centroids`.

    Returns
    -------
    Tensor
        (cells, L - k), one column per layer; missing if there is no M because the activation has no bounded
        derivatives or the loss is not the squared error.

    Raises
    ------
    ValueError
        If the arrays are inconsistent, a value is not finite, or a cluster is empty.

    Examples
    --------
    >>> network = Network([torch.eye(1)[None]], "linear")       # gap and WCSS are 1 here
    >>> z, y, one_set = torch.tensor([[[0.0], [2.0]]]), torch.zeros(1, 2, 1), torch.zeros(1, 2).long()
    >>> centroid_gap_bound(network, z, y, one_set, 1).item()
    1.2071
    """
    network.check(z, y)
    if network.loss != "squared_error":
        return z.new_full((len(z), len(network.weights)), torch.nan)
    points = torch.cat([z, y], dim=2)
    means, _ = centroids(points, labels, clusters)
    distance = (points - means.gather(1, labels[:, :, None].expand_as(points))).norm(dim=2)
    # the ball around a centroid that contains the points of the cluster also contains their convex hull
    radius = z.new_zeros(means.shape[:2]).scatter_reduce(1, labels, distance, "amax")
    z_mean, y_mean = torch.split(means, [z.shape[2], y.shape[2]], dim=2)
    m = second_derivative_bound(network, z_mean, y_mean, radius)
    bound: Tensor = m.amax(1) / 2 * distance.square().mean(1, keepdim=True)
    return bound


def second_derivative_bound(network: Network, z: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """A bound on M_{k,l}, the norm of the second derivative of g(z, y) = grad_{W_l} ell(f^{k->L}(z), y).

    The norm is the norm of the bilinear operator in (z, y), with the supremum over a ball around each
    point. With a^j = W_j z^{j-1}, and delta^j the derivative of ell in a^j, g = delta^l z^{l-1}' for

        delta^L = f - y,    delta^j = phi'(a^j) * W_{j+1}' delta^{j+1}.

    Product rule, chain rule and ||W_j||_2 bound each of them and its first two derivatives. Because g is
    affine in y, D^2 g has a block D_zz of norm at most A and blocks D_zy of norm at most B, and
    ||D^2 g|| <= ||[[A, B], [B, 0]]||_2 = (A + sqrt(A^2 + 4 B^2)) / 2.

    Parameters
    ----------
    network : Network
        The layers after z^k.
    z, y : Tensor
        Centres of the balls, (cells, clusters, n_k) and (cells, clusters, n_L).
    radius : Tensor
        (cells, clusters), in the space of (z, y).

    Returns
    -------
    Tensor
        (cells, clusters, L - k), one column per layer; missing if the activation has no bounded derivatives.

    Examples
    --------
    >>> network, centre = Network([torch.eye(1)[None]], "linear"), torch.zeros(1, 1, 1)
    >>> second_derivative_bound(network, centre, centre, torch.ones(1, 1)).item()      # 1 + sqrt(2)
    2.4142
    """
    depth, bounds = len(network.weights), ACTIVATIONS[network.activation].derivative_bounds
    if bounds is None:
        return z.new_full((*radius.shape, depth), torch.nan)
    p1, p2, p3 = bounds
    s = [torch.linalg.matrix_norm(w, ord=2)[:, None] for w in network.weights]
    at_centre = network.features(z)
    one, none = z.new_ones(()), z.new_zeros(())
    zs: list[Jet] = [(z.norm(dim=2) + radius, one, none)]
    slopes: list[Jet] = []  # phi'(a^j)
    for norm, centre in zip(s[:-1], at_centre[1:-1], strict=True):
        a1, a2 = norm * zs[-1][1], norm * zs[-1][2]
        slopes.append((p1 * one, p2 * a1, p3 * a1**2 + p2 * a2))
        first = p1 * a1
        zs.append((centre.norm(dim=2) + first * radius, first, p2 * a1**2 + p1 * a2))
    f1, f2 = s[-1] * zs[-1][1], s[-1] * zs[-1][2]
    error = (at_centre[-1] - y).norm(dim=2) + (f1**2 + 1).sqrt() * radius
    delta: Jet = (error, f1, f2)
    delta_y: Jet = (one, none, none)  # the derivative of delta in y
    columns: list[Tensor] = []
    for l in reversed(range(depth)):
        a, b = _product(delta, zs[l])[2], _product(delta_y, zs[l])[1]
        columns.insert(0, (a + (a**2 + 4 * b**2).sqrt()) / 2)
        if l:
            delta, delta_y = (
                _product(slopes[l - 1], tuple(s[l] * bound for bound in jet)) for jet in (delta, delta_y)
            )
    return torch.stack([column.expand_as(radius) for column in columns], dim=2)


def _product(f: Jet, g: Jet) -> Jet:
    """Bounds for the product of two functions."""
    return f[0] * g[0], f[1] * g[0] + f[0] * g[1], f[2] * g[0] + 2 * f[1] * g[1] + f[0] * g[2]
