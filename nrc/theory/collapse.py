"""Variability within classes relative to the variability between them."""

import torch
from torch import Tensor

from nrc.theory.moments import Partition

__all__ = ["between_directions", "nc1", "wcss_share"]

# Share of the largest singular value of the class means above which they have a direction.
SEPARATE = 1e-5


def wcss_share(classes: Partition) -> Tensor:
    """WCSS of features over their variance, tr Sigma_W / tr (Sigma_W + Sigma_B), between 0 and 1, (cells,).

    Missing where all features are equal.

    Examples
    --------
    >>> line = Partition.empty(1, 2, 1, 0)
    >>> z, labels = torch.tensor([[[0.0], [2.0], [4.0], [6.0]]]).double(), torch.tensor([[0, 0, 1, 1]])
    >>> line.update(z, z[:, :, :0], labels)
    >>> wcss_share(line).tolist()
    [0.2]
    """
    within, variance = classes.features.squares.sum(1) / classes.features.sizes.sum(1), classes.variance
    return torch.where(variance > 0, within / variance, torch.nan)


def between_directions(classes: Partition) -> Tensor:
    """Directions v_j between class means divided by their scale s_j, (cells, n, K), 0 beyond the rank.

    Sigma_B = sum_i (N_i/N) (mean of class i - mean of all)(...)' = sum_j s_j^2 v_j v_j', of rank K - 1 at
    most. Directions with s_j below 1e-5 of the largest are left out, as in the exact rank: such an s_j
    depends on the tolerance of training, and 1 / s_j would be arbitrary.

    Parameters
    ----------
    classes : Partition

    Examples
    --------
    >>> line = Partition.empty(1, 2, 1, 0)
    >>> z, labels = torch.tensor([[[0.0], [2.0], [4.0], [6.0]]]).double(), torch.tensor([[0, 0, 1, 1]])
    >>> line.update(z, z[:, :, :0], labels)
    >>> between_directions(line).abs().tolist()
    [[[0.5, 0.0]]]
    """
    means, mean = classes.features.means, classes.mean
    between = classes.shares.sqrt()[:, :, None] * (means - mean[:, None])
    _, s, vh = torch.linalg.svd(between, full_matrices=False)
    size = (classes.variance + mean.square().sum(1)).sqrt()
    rounding = max(between.shape[1:]) * torch.finfo(torch.float64).eps * size
    kept = s > torch.maximum(rounding, SEPARATE * s[:, 0])[:, None]
    kept[:, means.shape[1] - 1 :] = False  # centred means of K classes have rank K - 1 at most
    scales = torch.where(kept, 1 / torch.where(kept, s, 1), 0)
    return torch.nn.functional.pad(vh.mT * scales[:, None], (0, means.shape[1] - s.shape[1]))


def nc1(squares: Tensor, directions: Tensor, points: int) -> Tensor:
    """NC1 = tr(Sigma_W Sigma_B^+) / K, the first measure of neural collapse (Papyan, Han & Donoho 2020).

    Each direction between classes counts relative to its own scale, so NC1 is invariant under linear maps of
    the features within these directions, and a direction in which the means nearly agree may dominate it.

    Parameters
    ----------
    squares : Tensor
        Sum over points of ||(z - mean of its class)' Q||^2, (cells,).
    directions : Tensor
        Q, from `between_directions`.
    points : int
        N.

    Returns
    -------
    Tensor
        (cells,), missing where the means of all classes are equal.

    Examples
    --------
    >>> q = torch.tensor([[[0.5, 0.0]]])       # from the classes {0, 2} and {4, 6}
    >>> nc1(torch.tensor([4 * 0.5**2]), q, 4).tolist()
    [0.125]
    """
    return torch.where(directions.flatten(1).any(1), squares / points / directions.shape[2], torch.nan)
