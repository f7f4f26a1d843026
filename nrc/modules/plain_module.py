"""The plain module inside of a given one: without wrappers, with weights that are parameters, in float64.

A weight may be computed from other parameters, by a parametrization, weight or spectral norm, pruning, or an
adapter of peft. In the plain module such a weight is a parameter itself, with the value that the module uses.
"""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm
from torch.optim.swa_utils import AveragedModel

from nrc.modules.layers import parameters_of
from nrc.text import first_line

__all__ = [
    "check_adapters",
    "check_weight",
    "computes_weights",
    "in_float64",
    "unwrapped",
    "with_plain_weights",
]

HOOKS = (WeightNorm, SpectralNorm, prune.BasePruningMethod)
INTEGERS = (torch.int8, torch.uint8, torch.int16, torch.int32)


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside of wrappers: of `torch.compile`, parallel and averaged modules, and models of peft.

    Raises
    ------
    TypeError
        If it is a program of `torch.jit` or `torch.export`, or the weights cannot be read as real numbers.

    Examples
    --------
    >>> model = torch.nn.Linear(3, 2)
    >>> unwrapped(torch.nn.DataParallel(model)) is model
    True
    """
    while (inner := _inside(model)) is not None:
        model = inner
    for name, module in model.named_modules():
        _check_kind(name, module)
    for name, parameter in parameters_of(model).items():
        check_weight(name, parameter)
    if not any(_inside(module) for module in model.modules()):
        return model
    model = _shallow(model)
    for parent, own, child in _children(model):
        while (inner := _inside(child)) is not None:
            child = inner
            setattr(parent, own, child)
    return model


def computes_weights(model: nn.Module) -> bool:
    """Whether a module computes weights from other parameters.

    Examples
    --------
    >>> computes_weights(torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(3, 2)))
    True
    """
    return any(_computes(module) for module in model.modules())


def with_plain_weights(model: nn.Module) -> nn.Module:
    """The module, if it computes weights a copy with these weights as parameters; other tensors are shared.

    Raises
    ------
    ValueError
        If an adapter of peft cannot be merged.

    Examples
    --------
    >>> model = torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(3, 2)).eval()
    >>> plain = with_plain_weights(model)
    >>> [name for name, _ in plain.named_parameters()], torch.allclose(plain.weight.float(), model.weight)
    (['bias', 'weight'], True)
    """
    if not computes_weights(model):
        return model
    model = _shallow(model)
    for module in list(model.modules()):
        if _computes(module):
            _make_plain(module.double().eval())
    for parent, own, child in _children(model):
        if _is_adapted(child):
            setattr(parent, own, _merged(own, child))
    return model


def in_float64(model: nn.Module) -> nn.Module:
    """A copy in float64 and eval mode.

    Raises
    ------
    TypeError, ValueError
        If it cannot be copied, or its device has no float64.
    """
    if any(parameter.device.type == "mps" for parameter in model.parameters()):
        raise ValueError("model: it is on mps, which has no float64; move it to the CPU")
    try:
        double = copy.deepcopy(model, _computed_tensors(model)).double().eval()
    except (RuntimeError, TypeError) as error:
        raise TypeError(
            f"model: it cannot be copied ({first_line(error)}); use parameters and buffers"
        ) from error
    for module in double.modules():
        _widen(vars(module))
        if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
            module.sparse = False  # gradients are added up
    return double


def check_adapters(model: nn.Module) -> None:
    """Check that the adapters of peft take part in the computation of a module.

    Raises
    ------
    ValueError
    """
    for name, module in model.named_modules():
        if _is_a(module, "BaseTunerLayer") and (module.merged or module.disable_adapters):
            state = "merged; call unmerge_adapter()" if module.merged else "disabled; enable it"
            raise ValueError(f"model: the adapter of {name} has no gradient, because it is {state}")


def _widen(attributes: dict[str, Any]) -> None:
    """Convert tensors that are neither parameters nor buffers."""
    for name, value in attributes.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            attributes[name] = value.double()


def check_weight(name: str, p: Tensor) -> None:
    """Check that a parameter holds real numbers.

    Raises
    ------
    TypeError, ValueError

    Examples
    --------
    >>> check_weight("0.weight", torch.zeros(2, 2, dtype=torch.complex64))
    Traceback (most recent call last):
    TypeError: model: 0.weight is complex (torch.complex64); only real weights are measured
    """
    if isinstance(p, nn.UninitializedParameter) or p.is_meta:
        raise ValueError(
            f"model: {name} is not an initialised parameter; call a lazy module once, or move the model off "
            "the meta device"
        )
    if p.is_complex():
        raise TypeError(f"model: {name} is complex ({p.dtype}); only real weights are measured")
    if p.is_quantized or not p.is_floating_point() or p.itemsize < 2:
        raise TypeError(f"model: {name} is quantised ({p.dtype}); pass weights in floating point")
    if p.layout is not torch.strided or type(p.data) is not Tensor:
        kind = type(p.data).__name__ if p.layout is torch.strided else p.layout
        raise TypeError(f"model: {name} is a {kind}; pass dense tensors of one device in floating point")


def _inside(module: Any) -> nn.Module | None:
    """The module that a wrapper holds, None for other modules."""
    held: nn.Module | None = None
    if "_orig_mod" in module._modules:
        held = module._orig_mod
    elif isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)):
        held = module.module
    elif _is_a(module, "PeftModel"):
        if module.active_peft_config.is_prompt_learning:
            raise TypeError("model: prompts of peft are no part of a module; pass get_base_model()")
        held = module.get_base_model()
    return held


def _check_kind(name: str, module: nn.Module) -> None:
    own = f"model: {name or type(module).__name__}"
    of = {parent.__module__ for parent in type(module).__mro__}
    if isinstance(module, torch.jit.ScriptModule):
        raise TypeError(f"{own} is a ScriptModule of torch.jit; pass the module that it was made of")
    if any(parent.startswith("torch.export") for parent in of):
        raise TypeError(f"{own} is a program of torch.export; pass the module that it was made of")
    if any(parent.startswith(("torch.ao.nn.quantized", "torch.ao.nn.qat")) for parent in of):
        raise TypeError(f"{own} is quantised; pass the module with weights in floating point")
    for buffer, values in module.named_buffers(recurse=False):
        stored = "weight" in buffer and "weight" not in module._parameters
        if stored and values.ndim > 1 and values.dtype in INTEGERS:
            raise TypeError(f"{own}.{buffer} is quantised ({values.dtype}); pass weights in floating point")


def _computes(module: nn.Module) -> bool:
    """Whether a module, without its children, computes weights."""
    hooks = module._forward_pre_hooks.values()
    return (
        parametrize.is_parametrized(module)
        or any(isinstance(of, HOOKS) for of in hooks)
        or _is_adapted(module)
    )


def _is_adapted(module: nn.Module) -> bool:
    """Whether it is a layer of peft with an adapter, or a module that peft trains beside the original one."""
    return _is_a(module, "BaseTunerLayer") or _is_a(module, "AuxiliaryTrainingWrapper")


def _is_a(module: nn.Module, name: str) -> bool:
    """Whether a class of that name is a base class, without importing its package."""
    return any(parent.__name__ == name for parent in type(module).__mro__)


def _make_plain(module: Any) -> None:
    """Turn computed weights of a module in eval mode, without its children, into parameters."""
    if parametrize.is_parametrized(module):
        values = {own: getattr(module, own).detach().clone() for own in module.parametrizations}
        # `remove_parametrizations` would also change the given module, which has the same class
        module.__class__ = parametrize.type_before_parametrizations(module)
        of = module._modules.pop("parametrizations")
        for own, value in values.items():
            if any(True for _ in of[own].parameters()):
                setattr(module, own, nn.Parameter(value))
            else:
                module.register_buffer(own, value)
    for hook in list(module._forward_pre_hooks.values()):
        if isinstance(hook, WeightNorm):
            remove_weight_norm(module, hook.name)
        elif isinstance(hook, SpectralNorm):
            remove_spectral_norm(module, hook.name)
        elif isinstance(hook, prune.BasePruningMethod):
            prune.remove(module, hook._tensor_name)  # type: ignore[no-untyped-call]


def _merged(name: str, module: Any) -> nn.Module:
    """The layer of peft with its adapter merged, as `merge_and_unload` does it."""
    try:
        if hasattr(module, "unload_and_optionally_merge_module"):
            found = module.unload_and_optionally_merge_module(
                merge=True, safe_merge=False, adapter_names=None
            )
        else:
            if not (module.disable_adapters or module.merged):
                module.merge()
            found = module.get_base_layer()
    except Exception as error:  # of any type, by the kind of the adapter
        reason = first_line(error) or type(error).__name__
        raise ValueError(
            f"model: the adapter of {name} cannot be merged ({reason}); call merge_and_unload()"
        ) from error
    assert isinstance(found, nn.Module)
    return found


def _children(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """All modules but the model itself: the parent, their name in it, and they."""
    for parent in list(model.modules()):
        for own, child in list(parent._modules.items()):
            if child is not None:
                yield parent, own, child


def _shallow(model: nn.Module) -> nn.Module:
    """A copy of the modules that shares all tensors but those of modules that compute weights."""
    own = {
        id(p)
        for module in model.modules()
        if _computes(module)
        for p in (*module.parameters(), *module.buffers())
    }
    tensors = [*model.parameters(), *model.buffers(), *(t for of in model.modules() for t in _attributes(of))]
    shared = {id(tensor): tensor for tensor in tensors if id(tensor) not in own}
    return copy.deepcopy(model, shared | _computed_tensors(model))


def _computed_tensors(model: nn.Module) -> dict[int, Tensor]:
    """Weights that hooks compute, by their identities; these tensors have a graph, and cannot be copied."""
    return {
        id(tensor): tensor.detach().clone()
        for module in model.modules()
        if _computes(module)
        for tensor in _attributes(module)
    }


def _attributes(module: nn.Module) -> list[Tensor]:
    """Tensors of a module that are neither parameters nor buffers."""
    return [value for value in vars(module).values() if isinstance(value, Tensor)]
