"""Independent streams of random numbers from one seed, one per purpose."""

from enum import IntEnum

import numpy as np

__all__ = ["Stream", "generator", "integer_seed"]


class Stream(IntEnum):
    """The key of each purpose: streams of one seed with different keys are independent.

    Examples
    --------
    >>> first, second = (generator(0, stream) for stream in (Stream.NOISE, Stream.TEST_NOISE))
    >>> bool(first.random() == second.random())
    False
    """

    MIXTURE = 0
    INITIAL_WEIGHTS = 1
    IMAGES = 2
    BATCHES = 3
    KFAC_SIGNS = 4
    TEST_NOISE = 5
    NOISE = 6
    SAMPLE_IN_MEMORY = 7
    PERMUTED_LABELS = 8
    KMEANS = 9
    EIGENVALUE_SEARCH = 10
    RANDOM_GROUPS = 11
    PERMUTATIONS = 12


def generator(seed: int, stream: Stream) -> np.random.Generator:
    """The random numbers of a seed for a purpose.

    Examples
    --------
    >>> generator(0, Stream.NOISE).random() == generator(0, Stream.NOISE).random()
    True
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream,)))


def integer_seed(seed: int, stream: Stream) -> int:
    """A seed of a purpose for libraries that take integers, such as scikit-learn.

    Examples
    --------
    >>> integer_seed(0, Stream.KMEANS) == integer_seed(1, Stream.KMEANS)
    False
    """
    return int(np.random.SeedSequence(seed, spawn_key=(stream,)).generate_state(1)[0])
