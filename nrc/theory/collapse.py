"""Variability within classes without its scale: how much of the features' variance it is, and NC1."""

import numpy as np
from numpy.typing import ArrayLike

from nrc.theory.wcss import wcss

__all__ = ["nc1", "wcss_share"]


def wcss_share(z: ArrayLike, labels: ArrayLike) -> float:
    """WCSS of features over their variance, tr Sigma_W / tr (Sigma_W + Sigma_B), between 0 and 1.

    Missing where all features are one.

    Parameters
    ----------
    z : (N, n) array
        Features.
    labels : (N,) integer array
        Class of each point.

    Examples
    --------
    The variance is 1 within the classes and 4 between them:

    >>> wcss_share([[-3], [-1], [1], [3]], [0, 0, 1, 1])
    0.2
    """
    z = np.asarray(z, dtype=np.float64)
    variance = ((z - z.mean(0)) ** 2).sum() / len(z)
    return float(wcss(z, labels) / variance) if variance > 0 else np.nan


def nc1(z: ArrayLike, labels: ArrayLike) -> float:
    """NC1 = tr(Sigma_W Sigma_B^+) / K, the first measure of neural collapse (Papyan, Han & Donoho 2020).

    Sigma_W = (1/N) sum_j (z_j - mean of its class)(...)' and Sigma_B = sum_i (N_i/N) (mean of class i -
    mean of all)(...)'. Each direction between classes counts by its own scale: a linear change of the
    features within these directions changes nothing. So a direction in which the means nearly agree may
    decide the number; those below the rounding of the means are no directions, as in numpy's pinv.

    Missing where the means of all classes are one.

    Parameters
    ----------
    z : (N, n) array
        Features.
    labels : (N,) integer array
        Class of each point.

    Examples
    --------
    The variance is 1 within the two classes and 4 between them:

    >>> round(nc1([[-3], [-1], [1], [3]], [0, 0, 1, 1]), 6)
    0.125
    """
    z = np.asarray(z, dtype=np.float64)
    classes, place, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.stack([z[labels == label].mean(0) for label in classes])
    between = np.sqrt(sizes / len(z))[:, None] * (means - z.mean(0))
    _, s, vt = np.linalg.svd(between, full_matrices=False)
    # centred means of K classes have rank K - 1 at most
    rounding = max(between.shape) * np.finfo(np.float64).eps * np.linalg.norm(z, 2) / len(z) ** 0.5
    kept = s[: len(classes) - 1] > rounding
    if not kept.any():
        return np.nan
    within = (z - means[place]) @ vt[: len(kept)][kept].T / s[: len(kept)][kept]
    return float((within**2).sum() / len(z) / len(classes))
