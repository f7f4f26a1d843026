"""Hidden layers of torch modules in a chain: a layer, what is applied to its neurons, and the next layer.

Chains are found in modules of type Sequential, also nested, because these fix what follows a layer. A neuron
is an output of a Linear layer or a channel of a convolution.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

__all__ = ["OUTPUTS", "Hidden", "hidden_layers", "left_out"]

# Why the last layer is left out.
OUTPUTS = "its neurons are outputs of the model"

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
LAYERS = (nn.Linear, *CONVOLUTIONS)


@dataclass(frozen=True)
class Kind:
    """What a module does to the values of a neuron.

    Attributes
    ----------
    odd : bool
        phi(-t) = -phi(t)
    homogeneous : bool
        phi(a t) = a phi(t) for a > 0
    smooth : bool
        phi has a second derivative.
    vanishes : bool
        phi(0) = 0
    entrywise : bool
        It acts on each value alone.
    """

    odd: bool = False
    homogeneous: bool = False
    smooth: bool = False
    vanishes: bool = True
    entrywise: bool = True


NEUTRAL = Kind(odd=True, homogeneous=True, smooth=True)
LINEAR = Kind(odd=True, homogeneous=True, smooth=True, entrywise=False)
LARGEST = Kind(homogeneous=True, entrywise=False)
KINDS: dict[type[nn.Module], Kind] = {
    **dict.fromkeys((nn.Tanh, nn.Tanhshrink), Kind(odd=True, smooth=True)),
    **dict.fromkeys((nn.Softsign, nn.Softshrink, nn.Hardshrink), Kind(odd=True)),
    **dict.fromkeys((nn.ReLU, nn.LeakyReLU), Kind(homogeneous=True)),
    **dict.fromkeys((nn.GELU, nn.SiLU, nn.Mish), Kind(smooth=True)),
    **dict.fromkeys((nn.ELU, nn.CELU, nn.SELU, nn.ReLU6, nn.Hardswish), Kind()),
    **dict.fromkeys((nn.Sigmoid, nn.Softplus, nn.LogSigmoid), Kind(smooth=True, vanishes=False)),
    **dict.fromkeys((nn.Identity, nn.Dropout, nn.Flatten), NEUTRAL),
    **dict.fromkeys((nn.Dropout1d, nn.Dropout2d, nn.Dropout3d), LINEAR),
    **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), LINEAR),
    **dict.fromkeys((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d), LINEAR),
    **dict.fromkeys((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d), LARGEST),
    **dict.fromkeys((nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d), LARGEST),
}


@dataclass(frozen=True)
class Hidden:
    """A hidden layer whose neurons enter the next layer and nothing else.

    Attributes
    ----------
    name, next_name : str
        Names of the layers, as in `named_modules`.
    layer, next_layer : Module
    between : tuple of Module
        What is applied to the neurons.
    block : int
        Columns of the next matrix, the unfolded kernel of a convolution, for each neuron.
    odd, homogeneous, smooth, vanishes : bool
        As `Kind`, of all modules between the layers together.
    """

    name: str
    next_name: str
    layer: nn.Module
    next_layer: nn.Module
    between: tuple[nn.Module, ...]
    block: int
    odd: bool
    homogeneous: bool
    smooth: bool
    vanishes: bool


def hidden_layers(model: nn.Module) -> list[Hidden]:
    """The hidden layers of a module whose neurons can be merged.

    Examples
    --------
    >>> model = torch.nn.Sequential(
    ...     torch.nn.Conv2d(1, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(16, 2))
    >>> [(hidden.name, hidden.next_name, hidden.block, hidden.odd) for hidden in hidden_layers(model)]
    [('0', '3', 4, True)]
    """
    return [pair for pair in _pairs(model).values() if isinstance(pair, Hidden)]


def left_out(model: nn.Module) -> dict[str, str]:
    """The other layers by name, with the reason why their neurons cannot be merged.

    Examples
    --------
    >>> left_out(torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.LayerNorm(4), torch.nn.Linear(4, 2)))
    {'0': 'LayerNorm (1) follows', '2': 'its neurons are outputs of the model'}
    """
    pairs = _pairs(model)
    return {name: pair for name, pair in pairs.items() if isinstance(pair, str)}


def _pairs(model: nn.Module) -> dict[str, Hidden | str]:
    """Each layer by name with its pair, or with the reason why there is none."""
    steps = list(_steps(model, ""))
    found: dict[str, Hidden | str] = {}
    for place, (name, module) in enumerate(steps):
        if type(module) in LAYERS and not _is_changed(module):
            found[name or type(module).__name__] = _pair(steps, place, _uses(model))
    inner = {
        name: "it is not a plain layer in a chain of modules of type Sequential"
        for name, module in model.named_modules()
        if isinstance(module, LAYERS) and name not in found and name
    }
    return found | inner


def _steps(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """The modules that are applied one after the other, with their names."""
    if type(module).forward is not nn.Sequential.forward or _is_changed(module):
        yield name, module
        return
    for own, child in module._modules.items():
        if child is not None:
            yield from _steps(child, f"{name}.{own}".lstrip("."))


def _is_changed(module: nn.Module) -> bool:
    """Whether a module computes something else than its class, by hooks or another `forward`."""
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))


def _uses(model: nn.Module) -> dict[int, int]:
    """How many names each parameter has, by its identity."""
    uses: dict[int, int] = {}
    for _, parameter in model.named_parameters(remove_duplicate=False):
        uses[id(parameter)] = uses.get(id(parameter), 0) + 1
    return uses


def _pair(steps: list[tuple[str, nn.Module]], place: int, uses: dict[int, int]) -> Hidden | str:
    name, layer = steps[place]
    between = list[nn.Module]()
    for next_name, module in steps[place + 1 :]:
        if type(module) not in (*LAYERS, *KINDS) or _is_changed(module):
            hooks = " with hooks" if _is_changed(module) else ""
            return f"{type(module).__name__} ({next_name}){hooks} follows"
        if type(module) in LAYERS:
            reason = _reason(layer, between, module, uses)
            return reason or _hidden(name, layer, between, next_name, module)
        between.append(module)
    return OUTPUTS


def _reason(layer: nn.Module, between: list[nn.Module], after: nn.Module, uses: dict[int, int]) -> str:
    """Why the neurons of a layer cannot be merged; empty if they can."""
    if any(uses[id(parameter)] > 1 for module in (layer, after) for parameter in module.parameters()):
        return "its weights or those of the next layer are shared"
    if any(getattr(module, "groups", 1) != 1 for module in (layer, after)):
        return "it or the next layer is a grouped convolution"
    kinds = [type(module) for module in between]
    flat = kinds.index(nn.Flatten) if nn.Flatten in kinds else len(kinds)
    pools = [place for place, kind in enumerate(kinds) if not KINDS[kind].entrywise]
    if any(kinds[place].__name__[-2:] != type(layer).__name__[-2:] or place > flat for place in pools):
        return "pooling mixes its neurons"
    if any((module.start_dim, module.end_dim) != (1, -1) for module in between if type(module) is nn.Flatten):
        return "Flatten keeps some axes"
    before, flattened = isinstance(layer, CONVOLUTIONS), flat < len(kinds)
    if isinstance(after, CONVOLUTIONS) and (flattened or not before):
        return "the next layer does not act on its channels"
    if before and isinstance(after, nn.Linear) and not flattened:
        return "the next layer does not act on its channels"
    inputs = after.in_features if isinstance(after, nn.Linear) else after.in_channels
    assert isinstance(inputs, int)
    channels, positions = _neurons(layer), before and flattened
    if inputs != channels and not (positions and inputs % channels == 0):
        return "the next layer does not act on its neurons one by one"
    return ""


def _hidden(
    name: str, layer: nn.Module, between: list[nn.Module], next_name: str, after: nn.Module
) -> Hidden:
    kinds = [KINDS[type(module)] for module in between]
    weight = after.weight
    assert isinstance(weight, nn.Parameter)
    return Hidden(
        name,
        next_name,
        layer,
        after,
        tuple(between),
        weight[0].numel() // _neurons(layer),
        odd=all(kind.odd for kind in kinds),
        homogeneous=all(kind.homogeneous for kind in kinds),
        smooth=all(kind.smooth for kind in kinds),
        vanishes=all(kind.vanishes for kind in kinds),
    )


def _neurons(layer: nn.Module) -> int:
    weight = layer.weight
    assert isinstance(weight, nn.Parameter)
    return len(weight)
