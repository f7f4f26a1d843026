"""Chances: how probable numbers, or orders, as extreme as the observed ones are if a statement is false."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import page_trend_test, t

__all__ = ["falling", "holm", "outside", "within"]

Array = NDArray[np.float64]


def within(numbers: ArrayLike, low: float, high: float) -> float:
    """Chance of numbers this far within limits if their mean is not, by two one-sided Student's tests.

    Parameters
    ----------
    numbers : array_like of float, shape (n,)
        Independent observations, two or more.
    low, high : float
        Limits of the mean, of which one may be infinite.

    Returns
    -------
    float
        The larger one of the two chances (Schuirmann 1987).

    Examples
    --------
    >>> round(within([0.9, 1.0, 1.1], 0.5, np.inf), 4)
    0.0065
    >>> round(within([0.9, 1.0, 1.1], 0.5, 1.0), 4)
    0.5
    """
    return max(_above(numbers, low), _below(numbers, high))


def outside(numbers: ArrayLike, low: float, high: float) -> float:
    """Chance of numbers this far outside of limits if their mean is within, by Student's test on each side.

    Parameters
    ----------
    numbers, low, high
        As in `within`.

    Returns
    -------
    float
        The smaller one of the two chances, times the number of finite limits, at most 1.

    Examples
    --------
    >>> round(outside([0.9, 1.0, 1.1], 2.0, np.inf), 4)
    0.0017
    >>> round(outside([0.9, 1.0, 1.1], 2.0, 3.0), 4)
    0.0033
    """
    sides = int(np.isfinite(low)) + int(np.isfinite(high))
    return min(1.0, sides * min(_below(numbers, low), _above(numbers, high)))


def _above(numbers: ArrayLike, limit: float) -> float:
    """Chance of a mean this large if the expected one is at most the limit."""
    known = np.asarray(numbers, dtype=np.float64)
    error, difference = known.std(ddof=1) / len(known) ** 0.5, known.mean() - limit
    distance = difference / error if error else np.inf * np.sign(difference) if difference else 0.0
    return float(t.sf(distance, len(known) - 1))


def _below(numbers: ArrayLike, limit: float) -> float:
    return _above(-np.asarray(numbers, dtype=np.float64), -limit)


def falling(table: ArrayLike) -> float:
    """Chance that random orders fall along the columns of a table as consistently (Page's test).

    Parameters
    ----------
    table : array_like of float, shape (rows, columns)
        Independent rows, two or more, with three columns or more.

    Returns
    -------
    float
        Exact for few columns without ties (Page 1963).

    Examples
    --------
    Of the 36 pairs of orders of three numbers, one falls as consistently as this one:

    >>> round(falling([[3, 2, 1], [3, 2, 1]]) * 36, 6)
    1.0
    """
    return float(page_trend_test(-np.asarray(table, dtype=np.float64)).pvalue)


def holm(chances: ArrayLike) -> Array:
    """Chances of several statements, corrected for their number (Holm 1979).

    If all statements whose corrected chance is at most 5% are accepted, then the probability that a false one
    is among them is at most 5%, whatever the dependence between the statements.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    chances = np.asarray(chances, dtype=np.float64)
    order = np.argsort(chances)
    factors = np.arange(len(chances), 0, -1)
    corrected = np.empty_like(chances)
    corrected[order] = np.minimum(1, np.maximum.accumulate(factors * chances[order]))
    return corrected
