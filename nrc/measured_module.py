"""Any torch module as a network that is measured: its layers, its sources, and the gradients from them on.

A layer is a weight matrix: of a linear layer, a kernel unfolded to (outputs, inputs * positions), or a
projection of an attention. A source is a space of features that everything after it depends on alone, a
cut: the input, or what enters a module that holds a layer. Whether it is one is tried, with features there
and other inputs before.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from nrc.measured_network import Batch
from nrc.networks.losses import LOSSES
from nrc.networks.workspace import FRESH

__all__ = [
    "DivergedError",
    "Layer",
    "Loss",
    "MeasuredModule",
    "ModuleFeatures",
    "Source",
    "layers_of",
    "parameters_of",
    "weights_of",
]

# Of outputs (points, ...) and targets (points, ...): the loss of each point, (points,).
Loss = Callable[[Tensor, Tensor], Tensor]
T = TypeVar("T")
# Sees the first tensor that enters a module, if one does, and may give another in its place.
See = Callable[[Tensor | None], Tensor | None]

KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
# What tells that outputs differ, and are not rounded otherwise, of the largest.
TOLERANCE = 1e-8
# Bytes of features that are kept at once.
MEMORY = 2**30
# Seconds after which a progress bar appears.
DELAY = 1.0
# Points in a batch unless said, and points on which the module is tried.
BATCH, FEW = 256, 4


class DivergedError(ValueError):
    """Weights or outputs of a module are not finite."""


@dataclass(frozen=True)
class Layer:
    """A weight matrix of a module.

    Attributes
    ----------
    name : str
        As in `named_modules`; a packed projection of an attention as if it were separate: `q_proj`.
    parameters : tuple of str
        Names of the parameter that holds it, several if it is tied.
    rows : slice
        Of the parameter's first axis.
    """

    name: str
    parameters: tuple[str, ...]
    rows: slice = field(default_factory=lambda: slice(None))

    def matrix(self, parameter: Tensor) -> Tensor:
        """The parameter, or something of its shape, as (1, n_l, n_{l-1}) in float64 on the CPU."""
        return parameter.detach()[self.rows].flatten(1)[None].cpu().double()


@dataclass(frozen=True)
class Source:
    """A space of features that everything after it depends on alone.

    Attributes
    ----------
    name : str
        `input`, or that of the outermost module that the features enter.
    module : Module, optional
        None for the input.
    shape : tuple of int
        Of the features of a point.
    """

    name: str
    module: nn.Module | None
    shape: tuple[int, ...]


def layers_of(model: nn.Module) -> list[Layer]:
    """The layers of a module, a tied one once.

    Raises
    ------
    ValueError
        If there is none, or a weight is computed from other parameters or not there yet.

    Examples
    --------
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8, 2))
    >>> [(layer.name, layer.parameters) for layer in layers_of(model)]
    [('0', ('0.weight',)), ('2', ('2.weight',))]
    """
    names: dict[int, list[str]] = {}
    for name, parameter in parameters_of(model).items():
        names.setdefault(id(parameter), []).append(name)
    found: dict[tuple[int, int | None], Layer] = {}
    for name, module in model.named_modules():
        for called, own, rows in _matrices(name or type(model).__name__, module):
            parameter = module._parameters.get(own)
            if parameter is None or isinstance(parameter, nn.UninitializedParameter) or parameter.is_meta:
                raise ValueError(
                    f"model: {called}.{own} is no parameter with values; take off its parametrization "
                    "(torch.nn.utils.parametrize.remove_parametrizations), run a lazy module once, or bring "
                    "it from the meta device to another"
                )
            key = id(parameter), rows.start
            found.setdefault(key, Layer(called, tuple(names[id(parameter)]), rows))
    if not found:
        raise ValueError(
            f"model: {type(model).__name__} has no layer that can be measured: "
            "no Linear, Conv1d, Conv2d, Conv3d or MultiheadAttention"
        )
    return list(found.values())


def weights_of(layers: Sequence[Layer], parameters: Mapping[str, Tensor]) -> list[Tensor]:
    """The matrices of layers, (1, n_l, n_{l-1}) each, in float64.

    Raises
    ------
    DivergedError
        If one has a value that is not finite.

    Examples
    --------
    >>> model = torch.nn.Conv2d(3, 8, 5)
    >>> [tuple(w.shape) for w in weights_of(layers_of(model), parameters_of(model))]
    [(1, 8, 75)]
    """
    weights = [layer.matrix(parameters[layer.parameters[0]]) for layer in layers]
    for layer, w in zip(layers, weights, strict=True):
        if not w.isfinite().all():
            raise DivergedError(f"model: weights of layer {layer.name} are not finite; every number must be")
    return weights


def parameters_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """All parameters by name, a tied one by each."""
    return {
        f"{name}.{own}".lstrip("."): parameter
        for name, module in model.named_modules()
        for own, parameter in module.named_parameters(recurse=False, remove_duplicate=False)
    }


def _matrices(name: str, module: nn.Module) -> Iterator[tuple[str, str, slice]]:
    """Names of the matrices of a module itself, of their parameters, and which rows they are."""
    if isinstance(module, KINDS):
        yield name, "weight", slice(None)
    elif isinstance(module, nn.MultiheadAttention):
        size = module.embed_dim
        for number, part in enumerate(("q_proj", "k_proj", "v_proj")):
            if module.in_proj_weight is None:
                yield f"{name}.{part}", f"{part}_weight", slice(None)
            else:
                yield f"{name}.{part}", "in_proj_weight", slice(number * size, (number + 1) * size)


class ModuleFeatures:
    """A module and the inputs that it sees: its layers, its sources and their features.

    In float64, whatever the module's own precision, in eval mode, and in batches.

    Parameters
    ----------
    model : Module
        A copy is used.
    x : array
        Inputs (points, ...).
    sources : "all" or sequence of str
    batch : int
        Points in a batch.
    progress : bool, optional
        Whether there are progress bars, of what takes longer than a second; on a terminal if not said.

    Raises
    ------
    TypeError, ValueError
        If the module cannot be measured or does not take the inputs, in one line.

    Examples
    --------
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    >>> seen = ModuleFeatures(model, torch.randn(8, 3))
    >>> seen.layers, seen.sources, seen.below.tolist()
    (['0', '2'], ['input', '2'], [[True, False], [True, True]])
    """

    def __init__(
        self,
        model: nn.Module,
        x: Any,
        *,
        sources: str | Sequence[str] = "all",
        batch: int = BATCH,
        progress: bool | None = None,
    ) -> None:
        self._model = _in_float64(model)
        self._x, self._batch, self._disable = x, batch, None if progress is None else not progress
        self.device = next(self._model.parameters()).device
        self._layers = layers_of(self._model)
        self.parameters = parameters_of(self._model)
        self.weights = weights_of(self._layers, self.parameters)
        self._output = self._checked_output()
        self._sources = self._chosen(self._cuts(self._calls()), sources)

    @property
    def layers(self) -> list[str]:
        return [layer.name for layer in self._layers]

    @property
    def parameters_of_layers(self) -> list[tuple[str, ...]]:
        """Names of the parameter of each layer."""
        return [layer.parameters for layer in self._layers]

    @property
    def tied(self) -> dict[str, tuple[str, ...]]:
        """The parameters of each layer that has several names for one."""
        return {layer.name: layer.parameters for layer in self._layers if len(layer.parameters) > 1}

    @property
    def sources(self) -> list[str]:
        return [source.name for source in self._sources]

    @cached_property
    def below(self) -> NDArray[np.bool_]:
        """A layer that acts on nothing else has its whole gradient where the features are held."""
        x = self._few()
        whole, columns = self._uses(self._run(x)), list[list[bool]]()
        with torch.no_grad():
            features = self._features(x, self._sources)
        for source, z in zip(self._sources, features, strict=True):
            held = self._uses(self._run(x, source, z))
            pairs = zip(held, whole, strict=True)
            columns.append([g is not None and h is not None and not _differ(h, g) for g, h in pairs])
        return np.array(columns).T

    @property
    def points(self) -> int:
        return len(self._x)

    @property
    def sizes(self) -> list[int]:
        return [int(np.prod(source.shape)) for source in self._sources]

    def features(self, doing: str) -> Iterator[tuple[slice, list[Tensor]]]:
        """Which points, and their features of each source, (1, points, n_k)."""
        for rows in self.track(self._slices(), doing):
            with torch.no_grad():
                found = self._features(self._inputs(rows), self._sources)
            yield rows, [z.flatten(1)[None].cpu() for z in found]

    def track(self, things: Sequence[T], doing: str) -> Iterable[T]:
        # in a notebook a bar is text that stays in the file, so there it must be asked for
        return tqdm(things, doing, leave=False, disable=self._disable, delay=DELAY)

    def _slices(self) -> list[slice]:
        return [
            slice(first, min(first + self._batch, self.points))
            for first in range(0, self.points, self._batch)
        ]

    def _inputs(self, rows: slice | NDArray[np.int64]) -> Tensor:
        part = self._x[rows]
        # an array may be read-only, a file on disk
        x = (part.detach() if isinstance(part, Tensor) else torch.from_numpy(np.array(part))).to(self.device)
        if not x.is_floating_point():
            return x
        if not x.isfinite().all():
            raise ValueError("x has values that are not finite; every number must be")
        return x.double()

    def _run(self, x: Tensor, at: Source | None = None, z: Tensor | None = None) -> Tensor:
        """The outputs of inputs, with other features at a source."""
        with _every_module_runs(), ExitStack() as stack:
            if at is not None and at.module is not None:
                stack.enter_context(_entering(at.module, lambda _: None if z is None else z.clone()))
            elif at is not None and z is not None:
                x = z
            output: Tensor = self._model(x.clone())  # a module may write into what enters it
            return output

    def _features(self, x: Tensor, sources: Sequence[Source]) -> list[Tensor]:
        """What enters each source."""
        found: dict[str, Tensor] = {}

        def keep(name: str) -> See:
            def see(z: Tensor | None) -> None:
                assert z is not None, "a source has features"
                found[name] = z.clone()  # what comes after may write into it

            return see

        with _every_module_runs(), ExitStack() as stack:
            for source in sources:
                if source.module is None:
                    found[source.name] = x
                else:
                    stack.enter_context(_entering(source.module, keep(source.name)))
            self._model(x.clone())
        return [found[source.name] for source in sources]

    def _few(self) -> Tensor:
        """Some points from all over the data, which may be sorted."""
        return self._inputs(np.linspace(0, self.points - 1, min(FEW, self.points)).astype(np.int64))

    def _checked_output(self) -> Tensor:
        """Outputs of a few points: they are a function of each point alone."""
        x = self._few()
        with torch.no_grad():
            try:
                output = self._run(x)
            except Exception as error:  # whatever torch or the module says
                said = str(error).partition("\n")[0]
                raise ValueError(
                    f"x: the model fails at points of shape {tuple(x.shape[1:])} and {x.dtype} ({said})"
                ) from error
            _check_output(output, len(x))
            again, alone = self._run(x), self._run(_first(x))
        if _differ(output, again):
            raise ValueError(
                "model: two passes over the same points differ, so it draws random numbers in eval mode; "
                "make it deterministic"
            )
        if _differ(output[:1], alone):
            raise ValueError(
                "model: the output of a point depends on the points beside it, but the loss is a mean over "
                "points; use running statistics in place of those of a batch"
            )
        return output

    def _calls(self) -> list["_Call"]:
        """Each call of a module in order, of the whole model first."""
        calls: list[_Call] = []

        def note(name: str, module: nn.Module) -> See:
            return lambda z: calls.append(_Call(name, module, z, -1 if z is None else z._version))

        with torch.no_grad(), _every_module_runs(), ExitStack() as stack:
            for name, module in self._model.named_modules():
                stack.enter_context(_entering(module, note(name, module), every_call=True))
            self._model(self._few().clone())
        return calls

    def _cuts(self, calls: Sequence["_Call"]) -> list[Source]:
        """The input, and what enters modules that hold a layer, if all that follows depends on it alone."""
        tried = self._entered(calls)
        with torch.no_grad():
            x = self._few()
            pairs = zip(self._features(x, tried), self._features(_first(x), tried), strict=True)
            return [
                source
                for source, (z, alone) in zip(tried, pairs, strict=True)
                if self._is_cut(source, z, alone)
            ]

    def _entered(self, calls: Sequence["_Call"]) -> list[Source]:
        """The input, and what enters modules that hold a layer, if it has a row of numbers for each point."""
        holders = {prefix for layer in self._layers for name in layer.parameters for prefix in _holders(name)}
        found, known, called = list[Source](), set[tuple[int, int]](), set[str]()
        for time, call in enumerate(calls):
            first, z = call.name not in called, call.z
            called.add(call.name)
            if first and call.name in holders and z is not None and self._is_features(z):
                name, module = (call.name, call.module) if time else ("input", None)
                # of modules that the same features enter, the outermost is called first
                if call.key not in known:
                    found.append(Source(name, module, tuple(z.shape[1:])))
                known.add(call.key)
        return found

    def _is_features(self, z: Tensor) -> bool:
        """Whether it has a row of real numbers for each point."""
        return z.is_floating_point() and z.ndim > 1 and len(z) == len(self._output)

    def _is_cut(self, source: Source, z: Tensor, alone: Tensor) -> bool:
        """Whether the same features there, and other inputs before, have the same outputs.

        And the features of a point are its own: the first axis may be another that is as long.
        """
        x = self._few()
        other = x.flip(0) + 1 if x.is_floating_point() else x.flip(0)
        own = z.shape == alone.shape and not _differ(z[:1], alone)
        return own and not _differ(self._output, self._run(other, source, z))

    def _chosen(self, cuts: list[Source], names: str | Sequence[str]) -> list[Source]:
        if not cuts:
            raise ValueError(
                "x: integers have no centroids, and all features of a point enter no module of the model; "
                "give x as features, or measure the weights alone by nrc.spectra"
            )
        if names == "all":
            return cuts
        names, known = [names] if isinstance(names, str) else list(names), [of.name for of in cuts]
        if unknown := [name for name in names if name not in known]:
            raise ValueError(
                f"sources: {unknown[0]!r} is no space on which all that follows depends alone; "
                f"there are {', '.join(known)}"
            )
        if not names:
            raise ValueError(f"sources is empty; there are {', '.join(known)}")
        return [source for source in cuts if source.name in names]

    def _gradients(self, value: Tensor) -> list[Tensor | None]:
        """Of a number in every layer, (1, n_l, n_{l-1}) each, None where it does not depend on the layer."""
        if not value.requires_grad:
            raise ValueError("model: no layer has a gradient; outputs or the loss cannot be differentiated")
        parameters = [self.parameters[layer.parameters[0]] for layer in self._layers]
        found = torch.autograd.grad(value, parameters, allow_unused=True)
        return [None if g is None else of.matrix(g) for of, g in zip(self._layers, found, strict=True)]

    def _uses(self, output: Tensor) -> list[Tensor | None]:
        """The gradients of a combination of outputs."""
        share = torch.arange(1, output.numel() + 1, dtype=torch.float64, device=self.device) / output.numel()
        return self._gradients((share.view_as(output) * output).sum())


class MeasuredModule(ModuleFeatures):
    """A module, inputs and targets, and the loss that compares them.

    Beside one batch and the module there are at most `MEMORY` bytes of features in memory, and numbers for
    the centroids.

    Parameters
    ----------
    model, x, sources, batch, progress
        As `ModuleFeatures`.
    y : Tensor
        Real targets (points, ...), or classes (points,), of which distributions are made.
    loss : str or callable
        A key of `nrc.networks.losses.LOSSES`, or a function of outputs and targets.

    Raises
    ------
    TypeError, ValueError
        As `ModuleFeatures`, or if outputs, targets and loss do not fit each other.

    Examples
    --------
    >>> model, x = torch.nn.Linear(3, 2, bias=False), torch.eye(3)
    >>> seen = MeasuredModule(model, x, model(x).detach().double() + 1, "squared_error")
    >>> loss, (gradient,) = seen.gradient()
    >>> round(loss.item(), 6), gradient.mul(3).round().tolist()
    (1.0, [[[-1.0, -1.0, -1.0], [-1.0, -1.0, -1.0]]])
    """

    def __init__(self, model: nn.Module, x: Any, y: Tensor, loss: str | Loss, **how: Any) -> None:
        super().__init__(model, x, **how)
        self._y, self._loss = _targets(y, loss, self._output), loss

    @property
    def outputs(self) -> int:
        return int(self._y[0].numel())

    @property
    def capacity(self) -> int:
        return max(BATCH, MEMORY // (8 * sum(size + self.outputs for size in self.sizes)))

    def batches(self, doing: str) -> Iterator[Batch]:
        for rows, z in self.features(doing):
            yield rows, z, _by_row(self._y[rows])

    def gradient(self) -> tuple[Tensor, list[Tensor]]:
        return self._gradient

    @cached_property
    def _gradient(self) -> tuple[Tensor, list[Tensor]]:
        total, sums = 0.0, [torch.zeros_like(w) for w in self.weights]
        for rows in self.track(self._slices(), "gradient"):
            inputs, y = self._inputs(rows), self._y[rows]
            shares = torch.full((len(y),), 1 / self.points, dtype=torch.float64)
            value, gradient = self._backward(self._run(inputs), y, shares)
            total += value
            for into, g in zip(sums, gradient, strict=True):
                into += g
        return torch.tensor([total], dtype=torch.float64), sums

    def gradient_from(self, source: int, z: Tensor, y: Tensor, shares: Tensor) -> list[Tensor | None]:
        at, y = self._sources[source], y[0].reshape(-1, *self._y.shape[1:])
        z = z[0].reshape(-1, *at.shape).to(self.device)
        before = self._inputs(np.arange(len(z)) % self.points)
        _, gradient = self._backward(self._run(before, at, z), y, shares[0])
        return [g if below else None for g, below in zip(gradient, self.below[:, source], strict=True)]

    def _backward(self, output: Tensor, y: Tensor, shares: Tensor) -> tuple[float, list[Tensor]]:
        """sum_i p_i ell_i, and its gradient in every layer."""
        y, shares = y.to(self.device), shares.to(self.device)
        output = output.reshape(len(y), *self._output.shape[1:])  # that of one point may be squeezed
        if isinstance(self._loss, str):
            (value,), _ = LOSSES[self._loss].gradient(
                _by_row(output), _by_row(y), shares[None, :, None], FRESH
            )
        else:
            value = (shares * self._loss(output, y)).sum()
        pairs = zip(self._gradients(value), self.weights, strict=True)
        return value.item(), [torch.zeros_like(w) if g is None else g for g, w in pairs]


@dataclass(frozen=True)
class _Call:
    """A call of a module, and the features that enter it; their version grows when they are written to."""

    name: str
    module: nn.Module
    z: Tensor | None
    version: int

    @property
    def key(self) -> tuple[int, int]:
        return id(self.z), self.version


def _holders(parameter: str) -> list[str]:
    """Names of the modules around a parameter, the inner ones first."""
    parts = parameter.split(".")[:-1]
    return [".".join(parts[:count]) for count in range(len(parts), -1, -1)]


@contextmanager
def _entering(module: nn.Module, see: See, every_call: bool = False) -> Iterator[None]:
    """Show the first tensor that enters a module, at its first call; what is returned takes its place."""
    calls = 0

    def hook(
        module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        nonlocal calls
        calls += 1
        if calls > 1 and not every_call:
            return None
        z = next((value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)), None)
        other = see(z)
        if other is None:
            return None
        return (
            tuple(other if value is z else value for value in args),
            {name: other if value is z else value for name, value in kwargs.items()},
        )

    handle = module.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _every_module_runs() -> Iterator[None]:
    """In torch's fast path of transformers the modules inside are not called."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _in_float64(model: nn.Module) -> nn.Module:
    """A copy in float64 and eval mode, of which only the layers follow a gradient."""
    layers = {name for layer in layers_of(model) for name in layer.parameters}
    if (device := next(model.parameters()).device).type == "mps":
        raise ValueError(f"model: it is on {device.type}, which has no float64; measure it on the CPU")
    try:
        double = copy.deepcopy(model).double().eval()
    except (RuntimeError, TypeError) as error:
        said = str(error).partition("\n")[0]
        raise TypeError(f"model: it cannot be copied ({said}); take off what is no parameter") from error
    for name, parameter in parameters_of(double).items():
        parameter.requires_grad_(name in layers)
    return double


def _check_output(output: Any, points: int) -> None:
    if not isinstance(output, Tensor) or output.ndim == 0 or len(output) != points:
        shape = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise TypeError(
            f"model: of {points} points it gives {shape}, but a tensor with an output for each is needed, "
            f"({points}, ...)"
        )
    if not output.isfinite().all():
        raise DivergedError("model: its outputs are not finite at a few points; every number must be")


def _targets(y: Tensor, loss: str | Loss, output: Tensor) -> Tensor:
    """Real targets (points, ...) that the loss takes with outputs of the first points."""
    if not y.is_floating_point():
        if loss != "cross_entropy":
            raise TypeError(
                "y: integers are classes, but every loss other than cross_entropy needs real targets, for it "
                "also gets their means; of classes make torch.nn.functional.one_hot(y).double(), "
                'or leave loss="cross_entropy"'
            )
        classes = output.shape[-1]
        if y.ndim != 1 or y.min() < 0 or y.max() >= classes:
            raise ValueError(
                f"y: classes of outputs of {classes} numbers must be (points,), in 0..{classes - 1}, but "
                f"have shape {tuple(y.shape)} and are in {int(y.min())}..{int(y.max())}"
            )
        y = nn.functional.one_hot(y, classes).double()
    few = y[: len(output)].to(output.device)
    if not isinstance(loss, str):
        _check_loss(loss, output, few)
    elif output.shape != few.shape or (loss == "cross_entropy" and y.ndim != 2):
        raise ValueError(
            f"y: targets of shape {tuple(y.shape[1:])} do not fit outputs of shape {tuple(output.shape[1:])} "
            f"under {loss}"
        )
    elif loss == "cross_entropy" and ((y < 0).any() or ((y.sum(1) - 1).abs() > TOLERANCE).any()):
        raise ValueError("y: under cross_entropy real targets are distributions, at least 0 with a sum of 1")
    return y


def _check_loss(loss: Loss, output: Tensor, y: Tensor) -> None:
    found = loss(output, y)
    if not isinstance(found, Tensor) or found.shape != (len(y),):
        shape = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise ValueError(f"loss: of {len(y)} points it gives {shape}, but must give one each, ({len(y)},)")


def _first(x: Tensor) -> Tensor:
    """The first point in place of each."""
    return x[:1].expand_as(x)


def _by_row(values: Tensor) -> Tensor:
    """Outputs or targets (points, ...) as (1, points, numbers)."""
    return values.reshape(1, len(values), -1)


def _differ(a: Tensor, b: Tensor) -> bool:
    return not bool(((a - b).abs() <= TOLERANCE * a.abs().max()).all())
