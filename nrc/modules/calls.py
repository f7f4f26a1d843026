"""Calls of a module: inputs of any structure, one tensor of outputs, and arithmetic in float64."""

import inspect
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nrc.modules.inputs import Structure, kinds
from nrc.text import first_line

__all__ = ["as_by_default", "call", "check_gradients", "computing", "failure", "output_of"]

NARROW = (torch.float32, torch.float16, torch.bfloat16)


class HiddenGradientError(ValueError):
    """The gradient in a parameter is hidden."""


CASTS = (torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16)
WRAP = (
    "wrap it: class Wrapped(torch.nn.Module): def __init__(self, model): super().__init__(); "
    "self.model = model; def forward(self, *x, **named): return self.model(*x, **named)"
)

# What may help, by a part of an error.
ADVICE = {
    "required positional argument": "pass several inputs in a dictionary with the names of the arguments",
    "got Double and Float": "register all modules and tensors of the model, so that it is copied in float64",
    "and Double": "pass real numbers",
}


def call(model: nn.Module, x: Structure) -> Any:
    """What a module returns; the values of a dictionary are arguments by name, those of a tuple by place.

    A dictionary whose names are not those of arguments is one argument.

    Examples
    --------
    >>> call(torch.nn.Bilinear(2, 3, 4), {"input1": torch.ones(5, 2), "input2": torch.ones(5, 3)}).shape
    torch.Size([5, 4])
    """
    if isinstance(x, tuple):
        return model(*x)
    if isinstance(x, Mapping) and _takes(model, x):
        return model(**x)
    return model(x)


def failure(x: Structure, error: Exception) -> ValueError:
    """The error of a model that fails at points: their kinds, the first line of its error, and what may help.

    Examples
    --------
    >>> failure(torch.ones(2, 3, dtype=torch.int64), RuntimeError("expected Float"))
    ValueError('x: the model fails at points of shape (3,) and torch.int64 (expected Float)')
    """
    line = first_line(error)
    advice = "".join(f"; {advice}" for part, advice in ADVICE.items() if part in line)
    return ValueError(f"x: the model fails at points of {kinds(x)} ({line}{advice})")


def _takes(model: nn.Module, names: Mapping[str, Any]) -> bool:
    parameters = inspect.signature(model.forward).parameters.values()
    known = {of.name for of in parameters if of.kind in (of.POSITIONAL_OR_KEYWORD, of.KEYWORD_ONLY)}
    return any(of.kind is of.VAR_KEYWORD for of in parameters) or set(names) <= known


def output_of(returned: Any) -> Tensor:
    """The tensor of outputs: what a module returns, or its `logits`.

    Raises
    ------
    TypeError

    Examples
    --------
    >>> output_of({"loss": None, "logits": torch.zeros(2, 3)}).shape
    torch.Size([2, 3])
    >>> output_of((torch.zeros(2, 3), torch.zeros(2, 3)))
    Traceback (most recent call last):
    TypeError: model: it returns a tuple, of which one tensor must be chosen; wrap it: \
class Wrapped(torch.nn.Module): def __init__(self, model): super().__init__(); self.model = model; \
def forward(self, *x, **named): return self.model(*x, **named)[0]
    """
    if isinstance(returned, Tensor):
        return returned
    logits = returned.get("logits") if isinstance(returned, Mapping) else getattr(returned, "logits", None)
    if isinstance(logits, Tensor):
        return logits
    values = list(returned.values()) if isinstance(returned, Mapping) else returned
    if isinstance(values, tuple | list) and len(values) == 1 and isinstance(values[0], Tensor):
        return values[0]
    place = f"[{next(iter(returned), 0)!r}]" if isinstance(returned, Mapping) else "[0]"
    if returned is None:
        raise TypeError("model: it returns None, but must return a tensor of outputs")
    if not isinstance(returned, Mapping | tuple | list):
        attributes = getattr(returned, "__dict__", {}).items()
        place = next((f".{name}" for name, value in attributes if isinstance(value, Tensor)), ".outputs")
    raise TypeError(
        f"model: it returns a {type(returned).__name__}, of which one tensor must be chosen; {WRAP}{place}"
    )


@contextmanager
def as_by_default() -> Iterator[None]:
    """Torch without the caller's modes: with gradients, without autocast, with new tensors on the CPU."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.device("cpu"))
        yield


@contextmanager
def computing(device: torch.device) -> Iterator[None]:
    """Calls of a module and its derivatives: every submodule is called, and all real numbers are in float64.

    A module may cast to a type with fewer digits, or create tensors without a type; both become float64 here.
    The fast path of torch for transformers, which does not call the modules inside, is off.
    """
    fast, dtype = torch.backends.mha.get_fastpath_enabled(), torch.get_default_dtype()
    torch.backends.mha.set_fastpath_enabled(False)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device(device), _InFloat64():
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.backends.mha.set_fastpath_enabled(fast)


def check_gradients(model: nn.Module, trained: Collection[str], run: Callable[[], Tensor]) -> None:
    """Check in a run of a module that the gradients in parameters are not hidden.

    Raises
    ------
    ValueError
        If a module with such parameters is called without gradients, or by a checkpoint, which calls it again
        in the backward pass.
    """

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any) -> None:
            if _is_checkpointed():
                raise HiddenGradientError(
                    f"model: {name} is called by torch.utils.checkpoint, which hides what enters it; turn "
                    "the checkpoints off, because eval mode does not need them"
                )
            if not torch.is_grad_enabled():
                raise HiddenGradientError(
                    f"model: {name} is called under torch.no_grad, but its parameters require gradients; "
                    "call requires_grad_(False) on it, or remove no_grad"
                )

        return hook

    with ExitStack() as stack:
        for name, module in model.named_modules():
            if any(
                f"{name}.{own}".lstrip(".") in trained for own, _ in module.named_parameters(recurse=False)
            ):
                stack.callback(module.register_forward_pre_hook(watch(name or type(model).__name__)).remove)
        run()


def _is_checkpointed() -> bool:
    place = torch.utils.checkpoint.__file__
    return any(frame.f_code.co_filename == place for frame, _ in traceback.walk_stack(None))


class _InFloat64(TorchFunctionMode):
    """Casts to float32, float16 and bfloat16 are casts to float64."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in CASTS:
            return args[0].double()
        wide = {name: _wide(value) for name, value in (kwargs or {}).items()}
        return func(*(_wide(value) for value in args), **wide)


def _wide(value: Any) -> Any:
    return torch.float64 if isinstance(value, torch.dtype) and value in NARROW else value
