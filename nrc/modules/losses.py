"""The loss of each point, from names, modules of torch and functions.

The loss of a network is (1/N) sum_i ell(f(x_i), y_i). Modules of torch divide by other numbers: by all
numbers in the targets, by the sum of the weights of the classes, or not at all, which is a scale of ell.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["NAMES", "Each", "ModuleLoss", "loss_of"]

# The loss of each point, (points,), from outputs (points, ...) and real targets (points, ...).
Each = Callable[[Tensor, Tensor], Tensor]

NAMES = ("cross_entropy", "squared_error", "mse", "binary_cross_entropy")
MODULES = (nn.CrossEntropyLoss, nn.NLLLoss, nn.MSELoss, nn.BCEWithLogitsLoss)


@dataclass(frozen=True)
class ModuleLoss:
    """A loss of outputs and targets, which is also evaluated at mean targets.

    Attributes
    ----------
    name : str
    each : callable
        ell up to a scale.
    takes : {"classes", "numbers", "anything"}
        Classes or distributions over them, numbers of the shape of the outputs, or what a function takes.
    reduction : {"mean", "sum", "none"}
        `none` is as `mean`.
    weights : Tensor, optional
        Weights of the classes.
    ignored : int, optional
        The points of this class do not count.
    binary : bool
        Whether targets are 0 or 1.
    """

    name: str
    each: Each
    takes: str
    reduction: str = "mean"
    weights: Tensor | None = None
    ignored: int | None = None
    binary: bool = False

    def scale(self, points: int, classes: Tensor | None) -> float:
        """What `each` is multiplied with, such that the mean over points is the value of the loss.

        torch divides by the number of all positions that count, or by the sum of their weights.

        Examples
        --------
        >>> loss = loss_of(torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0])))
        >>> loss.scale(4, torch.tensor([0, 0, 0, 1]))
        0.6666666666666666
        """
        if self.reduction == "sum":
            return float(points)
        if classes is None:
            return 1.0
        kept = classes if self.ignored is None else classes[classes != self.ignored]
        weights = None if self.reduction == "none" else self.weights
        total = kept.numel() if weights is None else weights.double().cpu()[kept].sum().item()
        if not total > 0:
            fault = "are ignored by" if weights is None else "have weight 0 in"
            raise ValueError(f"loss: the classes of all points {fault} {self.name}")
        return points / total


def loss_of(loss: Any) -> ModuleLoss:
    """The loss of each point from a name, a module of torch or a function of outputs and targets.

    Raises
    ------
    TypeError, ValueError

    Examples
    --------
    >>> loss_of("mse").each(torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 0.0]])).tolist()
    [5.0]
    >>> loss_of(torch.nn.MSELoss(reduction="sum")).name
    'MSELoss(reduction=sum)'
    >>> loss_of(torch.nn.HuberLoss())
    Traceback (most recent call last):
    ValueError: loss is HuberLoss, but of the losses of torch only CrossEntropyLoss, NLLLoss, MSELoss, \
BCEWithLogitsLoss are known; pass a function of outputs and targets that returns the loss of each point
    """
    if isinstance(loss, str):
        return _named(loss)
    if type(loss) in MODULES:
        return _of_module(loss, _options(loss))
    if isinstance(loss, nn.Module) and type(loss).__module__.startswith("torch."):
        known = ", ".join(module.__name__ for module in MODULES)
        raise ValueError(
            f"loss is {type(loss).__name__}, but of the losses of torch only {known} are known; "
            "pass a function of outputs and targets that returns the loss of each point"
        )
    if not callable(loss) or isinstance(loss, type):
        raise TypeError(
            f"loss is a {type(loss).__name__}, but must be a name or a function of outputs and targets"
        )
    return ModuleLoss(getattr(loss, "__name__", type(loss).__name__), loss, "anything")


def _named(name: str) -> ModuleLoss:
    if name == "cross_entropy":
        return _of_module(nn.CrossEntropyLoss(), name)
    if name == "squared_error":
        return ModuleLoss(name, lambda output, y: _by_point((output - y).square()).sum(1) / 2, "numbers")
    if name == "mse":
        return _of_module(nn.MSELoss(), name)
    if name == "binary_cross_entropy":
        return _of_module(nn.BCEWithLogitsLoss(), name)
    raise ValueError(
        f"loss is {name!r}, but must be {', '.join(NAMES)}, a loss module of torch or a function"
    )


def _of_module(module: Any, name: str) -> ModuleLoss:
    reduction: str = module.reduction
    if isinstance(module, nn.CrossEntropyLoss | nn.NLLLoss):
        logs = isinstance(module, nn.NLLLoss)
        each = _of_classes(module.weight, getattr(module, "label_smoothing", 0.0), logs)
        return ModuleLoss(name, each, "classes", reduction, module.weight, module.ignore_index)
    if isinstance(module, nn.MSELoss):
        return ModuleLoss(name, _over(functional.mse_loss, reduction), "numbers", reduction)
    if module.weight is not None:
        raise ValueError(f"loss: {name} has weights of outputs or points; pass a function with these weights")
    each = _over(_binary_cross_entropy(module.pos_weight), reduction)
    return ModuleLoss(name, each, "numbers", reduction, binary=True)


def _of_classes(weights: Tensor | None, smoothing: float, logs: bool) -> Each:
    """-sum_j w_j ((1 - s) y_j + s / m) log p_j for distributions y over m classes.

    The sum over the positions of a point, at which y is a distribution or 0.
    """

    def each(output: Tensor, y: Tensor) -> Tensor:
        target = (1 - smoothing) * y + smoothing / y.shape[1] * y.sum(1, keepdim=True)
        if weights is not None:
            target = target * weights.to(y).reshape(-1, *[1] * (y.ndim - 2))
        return -_by_point(target * (output if logs else output.log_softmax(1))).sum(1)

    return each


def _binary_cross_entropy(pos_weight: Tensor | None) -> Callable[..., Tensor]:
    def values(output: Tensor, y: Tensor, reduction: str) -> Tensor:
        positive = None if pos_weight is None else pos_weight.to(output)
        return functional.binary_cross_entropy_with_logits(
            output, y, reduction=reduction, pos_weight=positive
        )

    return values


def _over(values: Callable[..., Tensor], reduction: str) -> Each:
    """The mean or the sum over the outputs of a point."""

    def each(output: Tensor, y: Tensor) -> Tensor:
        found = _by_point(values(output, y, reduction="none"))
        return found.sum(1) if reduction == "sum" else found.mean(1)

    return each


def _by_point(values: Tensor) -> Tensor:
    return values.reshape(len(values), -1)


def _options(module: nn.Module) -> str:
    """The name of a loss module with the options that differ from the defaults."""
    plain = type(module)()
    options = {
        name: getattr(module, name)
        for name in ("reduction", "label_smoothing", "ignore_index")
        if getattr(module, name, None) != getattr(plain, name, None)
    }
    options |= {
        name: value.tolist()
        for name in ("weight", "pos_weight")
        if isinstance(value := getattr(module, name, None), Tensor)
    }
    text = ", ".join(f"{name}={value}" for name, value in options.items())
    return f"{type(module).__name__}({text})"
