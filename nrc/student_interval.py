"""Student's interval for the mean over seeds, for figures and claims."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t

__all__ = ["student_interval"]


def student_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of observations with Student's interval.

    Parameters
    ----------
    values : array_like of float, shape (observations,)
        Independent, one per seed; missing values are left out.
    level : float
        Probability that the interval contains the mean of normal observations.

    Returns
    -------
    mean, low, high : float
        The ends are missing with fewer than two observations, the mean without any.

    Examples
    --------
    >>> [round(end, 2) for end in student_interval([1.0, 2.0, 3.0])]
    [2.0, -0.48, 4.48]
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if len(known) < 2:
        return (float(known[0]) if len(known) else np.nan), np.nan, np.nan
    half = t.ppf((1 + level) / 2, len(known) - 1) * known.std(ddof=1) / len(known) ** 0.5
    return float(known.mean()), float(known.mean() - half), float(known.mean() + half)
