"""What mini-batches of SGD say about rank (Galanti, Siegel, Gupte & Poggio, arXiv 2206.05794).

A step of SGD without momentum is W <- (1 - mu lambda) W - mu G, with the learning rate mu, the weight decay
lambda and the gradient G of the loss on B points, of rank at most B for a layer that acts once on each point.
After k steps W is (1 - mu lambda)^k times the weights before them plus a matrix of rank at most k B.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["batch_bound"]


def batch_bound(
    rank: ArrayLike, batch: int, learning_rate: float, weight_decay: ArrayLike
) -> NDArray[np.float64]:
    """Bound on the relative distance to rank r, (1 - mu lambda)^k with k = floor(r / B), shape (...).

    The norm of the weights k steps before the end is taken to be the norm at the end, as in the reference,
    where the norm converges.

    Parameters
    ----------
    rank : array_like
        r.
    batch : int
        B, the number of points in a mini-batch.
    learning_rate : float
        mu.
    weight_decay : array_like
        lambda, with 0 <= mu lambda <= 1.

    Examples
    --------
    One gradient is left of the weights if every step replaces them, so that their rank is at most B:

    >>> batch_bound([9, 10], batch=10, learning_rate=1, weight_decay=1).tolist()
    [1.0, 0.0]
    >>> float(batch_bound(30, batch=10, learning_rate=0.5, weight_decay=1))
    0.125
    """
    shrinking = 1 - learning_rate * np.asarray(weight_decay, dtype=np.float64)
    bound: NDArray[np.float64] = shrinking ** np.floor(np.asarray(rank) / batch)
    return bound
