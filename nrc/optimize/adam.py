"""Adam (Kingma & Ba 2015), by torch."""

from functools import partial

import torch

from nrc.optimize.first_order import FirstOrder
from nrc.optimize.options import FirstOrderOptions, LearningRate
from nrc.optimize.protocols import Phase, RunInfo

__all__ = ["Options", "build"]


class Options(FirstOrderOptions):
    """Adam, with weight decay in the gradient."""

    learning_rate: LearningRate = 1e-3


def build(run: RunInfo, options: Options) -> list[Phase]:
    """Adam.

    Examples
    --------
    >>> [phase] = build(RunInfo(epochs=100, seeds=[0]), Options())
    >>> phase.method.full_batch
    True
    """
    return [Phase(FirstOrder(partial(torch.optim.Adam, lr=options.learning_rate), run, options))]
