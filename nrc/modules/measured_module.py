"""Any torch module as a measured network: its layers, its sources, and the gradients after each source.

A source is a cut, a space of features that determines all later ones: the input, or the features that enter a
module with a layer. Cuts are found by experiment: the outputs must not change if these features are kept and
the inputs are replaced.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from nrc.api_arguments import names_of
from nrc.measured_network import Batch, Neurons
from nrc.modules.calls import call, check_gradients, computing, failure, output_of
from nrc.modules.chains import OUTPUTS, Hidden, hidden_layers, left_out
from nrc.modules.inputs import Inputs, Structure, divided, each, first, inputs_of, joined, other
from nrc.modules.layers import DivergedError, layers_of, parameters_of, share_of, weights_of
from nrc.modules.losses import Each, ModuleLoss, loss_of
from nrc.modules.plain_module import check_adapters, computes_weights, in_float64, with_plain_weights
from nrc.modules.positions import activation_between, at_positions
from nrc.modules.targets import targets_of
from nrc.modules.user_arrays import array_of
from nrc.objectives.residual import total_residual
from nrc.text import first_line
from nrc.theory.potential import Potential

__all__ = ["MeasuredModule", "ModuleFeatures", "Source"]

T = TypeVar("T")
# Receives the first tensor that enters a module, or None, and may return a replacement.
Intercept = Callable[[Tensor | None], Tensor | None]

# Relative to the largest output: a larger difference is more than rounding.
TOLERANCE = 1e-8
# Bytes of features in memory with their copies, such as those that k-means makes, and the number of copies.
MEMORY, COPIES = 2**30, 4
# Seconds after which a progress bar appears.
DELAY = 1.0
# Points in a batch by default, and points for experiments with the module. One of several inputs can be a
# mask, which few points change.
BATCH, FEW, FEW_OF_SEVERAL = 256, 4, 16


@dataclass(frozen=True)
class Source:
    """A space of features that determines all later ones.

    Attributes
    ----------
    name : str
        `input`, or the name of the outermost module that the features enter.
    module : Module, optional
        None for the input.
    shape : tuple of int
        Shape of the features of a point.
    """

    name: str
    module: nn.Module | None
    shape: tuple[int, ...]


class ModuleFeatures:
    """A module with inputs: its layers, its sources and the features in them.

    The module is copied, converted to float64 and evaluated in batches in eval mode.

    Parameters
    ----------
    model : Module
    x : Inputs or array
        Inputs (points, ...), or what `nrc.modules.inputs.inputs_of` takes.
    sources : "all" or sequence of str
    batch : int
        Points in a batch.
    progress : bool, optional
        Whether to show progress bars after one second; on a terminal by default.
    leave_out : sequence of str
        Names or patterns of layers or parameters that are not measured.

    Raises
    ------
    TypeError, ValueError
        If the module cannot be measured or does not accept the inputs.

    Examples
    --------
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    >>> network = ModuleFeatures(model, torch.randn(8, 3))
    >>> network.layers, network.sources, network.below.tolist()
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
        leave_out: Sequence[str] = (),
    ) -> None:
        self._model = in_float64(with_plain_weights(model))
        self._x = x if isinstance(x, Inputs) else inputs_of(x)
        self._batch, self._disable = batch, None if progress is None else not progress
        self._layers = layers_of(self._model, leave_out)
        self.device = next(self._model.parameters()).device
        self.parameters = parameters_of(self._model)
        for name in {name for layer in self._layers for name in layer.parameters}:
            self.parameters[name].requires_grad_(True)
        self.weights = weights_of(self._layers, self.parameters)
        self._output = self._checked_output()
        calls = self._calls()
        self.precision = _precision([self._output, *(call.z for call in calls)])
        self._sources = self._chosen(self._cuts(calls), sources)

    @property
    def layers(self) -> list[str]:
        return [layer.name for layer in self._layers]

    @property
    def parameters_of_layers(self) -> list[tuple[str, ...]]:
        """The names of the parameter of each layer."""
        return [layer.parameters for layer in self._layers]

    @property
    def share(self) -> tuple[float, list[str]]:
        """The share of the parameters in layers, and the names of the others."""
        return share_of(self._layers, self.parameters)

    @property
    def tied(self) -> dict[str, tuple[str, ...]]:
        """The names of the parameter of each tied layer."""
        return {layer.name: layer.parameters for layer in self._layers if len(layer.parameters) > 1}

    @property
    def sources(self) -> list[str]:
        return [source.name for source in self._sources]

    @cached_property
    def below(self) -> NDArray[np.bool_]:
        """A layer is below a source if its gradient is the same with the features held constant."""
        x = self._few()
        full, columns = self._uses(self._run(x)), list[list[bool]]()
        with torch.no_grad():
            features = self._features(x, self._sources)
        for source, z in zip(self._sources, features, strict=True):
            held = self._uses(self._run(x, source, z))
            pairs = zip(held, full, strict=True)
            columns.append([g is not None and h is not None and not _differ(h, g) for g, h in pairs])
        return np.array(columns).T

    @property
    def points(self) -> int:
        return len(self._x)

    @property
    def sizes(self) -> list[int]:
        return [int(np.prod(source.shape)) for source in self._sources]

    @cached_property
    def neurons(self) -> list[Neurons]:
        hidden, places = self._hidden, {name: l for l, name in enumerate(self.layers)}
        outputs = [name for name, reason in left_out(self._model).items() if reason == OUTPUTS]
        found = []
        for l, name in enumerate(self.layers):
            of = hidden.get(l)
            if of is not None and of.next_name in places:
                found.append(Neurons(l, places[of.next_name], of.block, of.odd, of.homogeneous, of.smooth))
            elif name not in outputs:
                found.append(Neurons(l))
        return found

    @cached_property
    def _hidden(self) -> dict[int, Hidden]:
        """The hidden layers in chains, by their positions."""
        places = {name: l for l, name in enumerate(self.layers)}
        return {places[of.name]: of for of in hidden_layers(self._model) if of.name in places}

    def incoming(self, neurons: Neurons) -> Tensor:
        w = self.weights[neurons.layer]
        bias = self._bias(neurons)
        return w if bias is None else torch.cat([w, bias.detach().cpu()[None, :, None]], dim=2)

    def _bias(self, neurons: Neurons) -> Tensor | None:
        of = self._hidden.get(neurons.layer)
        return None if of is None else of.layer._parameters["bias"]

    def features(self, description: str) -> Iterator[tuple[slice, list[Tensor]]]:
        """The rows of a batch, and the features in each source, (1, points, n_k)."""
        for rows, x in self._passed(description):
            with torch.no_grad():
                found = self._features(x, self._sources)
            yield rows, [z.flatten(1)[None].cpu() for z in found]

    def _passed(self, description: str) -> Iterator[tuple[slice, Structure]]:
        """The rows and the inputs of all batches."""
        slices = self._slices()
        for rows, x in zip(self.track(slices, description), self._x.batches(slices), strict=True):
            yield rows, self._placed(x)

    def track(self, items: Sequence[T], description: str) -> Iterable[T]:
        # in a notebook a bar is text that stays in the file, so it is shown there on request only
        return tqdm(items, description, leave=False, disable=self._disable, delay=DELAY)

    def _slices(self) -> list[slice]:
        return [
            slice(first, min(first + self._batch, self.points))
            for first in range(0, self.points, self._batch)
        ]

    def _inputs(self, rows: slice | NDArray[np.int64]) -> Structure:
        return self._placed(self._x.read(rows))

    def _placed(self, x: Structure) -> Structure:
        return each(lambda values: values.to(self.device), x)

    def _call(self, x: Structure, model: nn.Module | None = None) -> Any:
        model = model or self._model
        recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
        # recurrent layers in cuDNN have no gradients in eval mode
        with torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext():
            return call(model, each(Tensor.clone, x))  # a module may write into its input

    def _run(
        self,
        x: Structure,
        at: Source | None = None,
        z: Tensor | None = None,
        model: nn.Module | None = None,
    ) -> Tensor:
        """The outputs for inputs x, with the features at a source replaced by z."""
        with computing(self.device), ExitStack() as stack:
            if at is not None and at.module is not None:
                stack.enter_context(_entering(at.module, lambda _: None if z is None else z.clone()))
            elif at is not None and z is not None:
                x = divided(z, x)
            return output_of(self._call(x, model))

    def _features(self, x: Structure, sources: Sequence[Source]) -> list[Tensor]:
        """The features in each source."""
        found: dict[str, Tensor] = {}

        def keep(name: str) -> Intercept:
            def store(z: Tensor | None) -> None:
                assert z is not None, "a source has features"
                found[name] = z.clone()  # later modules may write into it

            return store

        with computing(self.device), ExitStack() as stack:
            for source in sources:
                if source.module is None:
                    found[source.name] = joined(x)
                else:
                    stack.enter_context(_entering(source.module, keep(source.name)))
            self._call(x)
        return [found[source.name] for source in sources]

    def _few(self) -> Structure:
        """A few points spread over the data, which may be sorted."""
        count = min(self.points, FEW_OF_SEVERAL if self._x.several else FEW)
        return self._inputs(np.linspace(0, self.points - 1, count).astype(np.int64))

    def _checked_output(self) -> Tensor:
        """The outputs of a few points, each of which must be a function of its point alone."""
        x = self._few()
        with torch.no_grad():
            try:
                with computing(self.device):
                    returned = self._call(x)
            except Exception as error:  # torch and modules raise errors of any type
                raise failure(x, error) from error
            output = output_of(returned)
            _check_output(output, len(joined(x)))
            again, alone = self._run(x), self._run(first(x))
        if _differ(output, again):
            raise ValueError(
                "model: two evaluations at the same points differ, so it uses random numbers in eval mode; "
                "make it deterministic"
            )
        if _differ(output[:1], alone):
            raise ValueError(
                "model: the output of a point depends on the other points of its batch, but the loss is a "
                "mean over points; use running statistics instead of batch statistics, and batch_first=True"
            )
        return output

    def _calls(self) -> list["_Call"]:
        """The calls of all modules in order, beginning with the model itself."""
        calls: list[_Call] = []

        def note(name: str, module: nn.Module) -> Intercept:
            return lambda z: calls.append(_Call(name, module, z, -1 if z is None else z._version))

        with torch.no_grad(), computing(self.device), ExitStack() as stack:
            for name, module in self._model.named_modules():
                stack.enter_context(_entering(module, note(name, module), every_call=True))
            self._call(self._few())
        return calls

    def _cuts(self, calls: Sequence["_Call"]) -> list[Source]:
        """The candidates that are cuts: they determine all later features."""
        candidates = self._entered(calls)
        with torch.no_grad():
            x = self._few()
            pairs = zip(self._features(x, candidates), self._features(first(x), candidates), strict=True)
            return [
                source
                for source, (z, alone) in zip(candidates, pairs, strict=True)
                if self._is_cut(source, z, alone)
            ]

    def _entered(self, calls: Sequence["_Call"]) -> list[Source]:
        """The candidates: the input, and tensors with one row per point that enter a module with a layer."""
        holders = {prefix for layer in self._layers for name in layer.parameters for prefix in _holders(name)}
        x = joined(self._few())
        found = [Source("input", None, tuple(x.shape[1:]))] if self._is_features(x) else []
        known, called = {calls[0].key} if found and not self._x.several else set(), {calls[0].name}
        for entry in calls[1:]:
            new, z = entry.name not in called, entry.z
            called.add(entry.name)
            if new and entry.name in holders and z is not None and self._is_features(z):
                # if the same features enter several modules, the outermost is called first
                if entry.key not in known:
                    found.append(Source(entry.name, entry.module, tuple(z.shape[1:])))
                known.add(entry.key)
        return found

    def _is_features(self, z: Tensor) -> bool:
        """Whether it has one row of real numbers per point."""
        return z.is_floating_point() and z.ndim > 1 and len(z) == len(self._output)

    def _is_cut(self, source: Source, z: Tensor, alone: Tensor) -> bool:
        """Whether the outputs stay the same if the features are kept and the inputs are replaced.

        The features of a point must also depend on that point alone: the first axis may be a different one of
        the same length.
        """
        own = z.shape == alone.shape and not _differ(z[:1], alone)
        return own and not _differ(self._output, self._run(other(self._few()), source, z))

    def _chosen(self, cuts: list[Source], names: str | Sequence[str]) -> list[Source]:
        if not cuts:
            raise ValueError(
                "x: integers have no centroids, and no module of the model receives all features of a point; "
                "pass features as x, or measure the weights alone by nrc.spectra"
            )
        if names == "all":
            return cuts
        names = names_of("sources", names, 'names of modules, "input" or "all"')
        known = [of.name for of in cuts]
        if unknown := [name for name in names if name not in known]:
            raise ValueError(
                f"sources: {unknown[0]!r} does not determine all later features; "
                f"choose from {', '.join(known)}"
            )
        if not names:
            raise ValueError(f"sources is empty; choose from {', '.join(known)}")
        return [source for source in cuts if source.name in names]

    def _gradients(self, value: Tensor) -> list[Tensor | None]:
        """The gradient in every layer, (1, n_l, n_{l-1}) each; None if the value does not depend on it."""
        found = self._derivatives(value, [self.parameters[layer.parameters[0]] for layer in self._layers])
        return [None if g is None else of.matrix(g) for of, g in zip(self._layers, found, strict=True)]

    def _derivatives(self, value: Tensor, parameters: Sequence[Tensor]) -> Sequence[Tensor | None]:
        if not value.requires_grad:
            raise ValueError("model: no layer has a gradient; outputs and loss must be differentiable")
        with computing(self.device):
            return torch.autograd.grad(value, parameters, allow_unused=True)

    def _uses(self, output: Tensor) -> list[Tensor | None]:
        """The gradients of a linear combination of the outputs."""
        share = torch.arange(1, output.numel() + 1, dtype=torch.float64, device=self.device) / output.numel()
        return self._gradients((share.view_as(output) * output).sum())


class MeasuredModule(ModuleFeatures):
    """A module with inputs, targets and the loss.

    Memory holds the module, one batch, the centroids, and at most `MEMORY` bytes of features with their
    copies.

    Parameters
    ----------
    model, x, sources, batch, progress
        As `ModuleFeatures`.
    y : array
        Real targets (points, ...), or classes (points,), which become distributions batch by batch.
    loss : str, module or callable
        As `nrc.modules.losses.loss_of`.

    Raises
    ------
    TypeError, ValueError
        As `ModuleFeatures`, or if outputs, targets and loss are inconsistent.

    Examples
    --------
    >>> model, x = torch.nn.Linear(3, 2, bias=False), torch.eye(3)
    >>> network = MeasuredModule(model, x, model(x).detach().double() + 1, "squared_error")
    >>> loss, (gradient,) = network.gradient()
    >>> loss.item(), gradient.mul(3).tolist()
    (1.0, [[[-1.0, -1.0, -1.0], [-1.0, -1.0, -1.0]]])
    """

    def __init__(
        self, model: nn.Module, x: Any, y: Any, loss: str | Each | ModuleLoss, **settings: Any
    ) -> None:
        super().__init__(model, x, **settings)
        self._loss = loss if isinstance(loss, ModuleLoss) else loss_of(loss)
        self._y = targets_of(array_of("y", y), self._loss, self._output)
        self._scale = self._loss.scale(self.points, self._y.classes)
        self._check_loss()
        trained = {name for name, parameter in parameters_of(model).items() if parameter.requires_grad}
        check_gradients(self._model, trained, lambda: self._run(self._few()))
        check_adapters(model)
        # if the model computes weights, the parameters that are trained are in this copy
        self._trained = in_float64(model) if computes_weights(model) else self._model
        self._check_same_function()

    @property
    def outputs(self) -> int:
        return int(np.prod(self._y.shape))

    def _check_loss(self) -> None:
        """Check that the loss has a value for each point."""
        output, y = self._y.beside(self._output), self._y[: len(self._output)].to(self.device)
        try:
            with computing(self.device):
                found = self._loss.each(output, y)
        except Exception as error:  # functions raise errors of any type
            raise ValueError(
                f"loss: {self._loss.name} fails for outputs {tuple(output.shape)} and targets "
                f"{tuple(y.shape)} ({first_line(error)})"
            ) from error
        if not isinstance(found, Tensor) or found.shape != (len(y),):
            shape = f"of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(
                f"loss: its value for {len(y)} points is {shape}, but must be a tensor of shape ({len(y)},), "
                'the loss of each point; in torch by reduction="none", and .mean(1) over several outputs'
            )

    @property
    def capacity(self) -> int:
        return max(BATCH, MEMORY // (COPIES * 8 * sum(size + self.outputs for size in self.sizes)))

    def batches(self, description: str) -> Iterator[Batch]:
        for rows, z in self.features(description):
            for source, features in zip(self._sources, z, strict=True):
                _check_finite(features[0], rows, f"the features of source {source.name}")
            yield rows, z, self._y[rows].reshape(1, rows.stop - rows.start, -1)

    def gradient(self) -> tuple[Tensor, list[Tensor]]:
        return self._gradient

    @cached_property
    def _gradient(self) -> tuple[Tensor, list[Tensor]]:
        value, sums = self._in_parameters
        found = [of.matrix(sums[id(self.parameters[of.parameters[0]])]) for of in self._layers]
        return torch.tensor([value], dtype=torch.float64), found

    @cached_property
    def _in_parameters(self) -> tuple[float, dict[int, Tensor]]:
        return self._sums(self._model)

    def _sums(self, model: nn.Module) -> tuple[float, dict[int, Tensor]]:
        """The loss of a model, and its gradient in each parameter that requires one, by its identity."""
        parameters = [p for p in model.parameters() if p.requires_grad]
        total, sums = 0.0, {id(p): torch.zeros_like(p) for p in parameters}
        for rows, x in self._passed("gradient"):
            value, gradient = self._part(model, rows, x)
            total += value
            for p, g in zip(parameters, gradient, strict=True):
                if g is not None:
                    sums[id(p)] += g
        return total, sums

    def _part(self, model: nn.Module, rows: slice, x: Structure) -> tuple[float, Sequence[Tensor | None]]:
        """The part of some points in the loss and in its gradient; an error has the place of a bad value."""
        output, y = self._run(x, model=model), self._y[rows]
        _check_finite(output.reshape(len(y), -1), rows, "its outputs")
        named = {id(p): name for name, p in parameters_of(model).items() if p.requires_grad}
        parameters = [p for p in model.parameters() if p.requires_grad]
        value = self._value(output, y, torch.full((len(y),), 1 / self.points, dtype=torch.float64))
        gradient = self._derivatives(value, parameters)
        pairs = zip(parameters, gradient, strict=True)
        wrong = [named[id(p)] for p, g in pairs if g is not None and not g.isfinite().all()]
        if not wrong and value.isfinite():
            return value.item(), gradient
        if len(y) > 1:
            for point in range(rows.start, rows.stop):
                alone = slice(point, point + 1)
                self._part(model, alone, self._inputs(alone))
        what = f"the gradient in {wrong[0]} is" if wrong else "the loss is"
        raise DivergedError(f"model: {what} not finite at point {rows.start}; every number must be")

    def residual_of_parameters(self, weight_decay: Mapping[str, float]) -> tuple[float, float]:
        """||r|| and the relative residual of all parameters with weight decay together.

        Parameters
        ----------
        weight_decay : mapping
            lambda of parameters of the model that are trained, by name. If all are 0, all of them count.
        """
        plain = self._trained is self._model
        _, sums = self._in_parameters if plain else self._sums(self._trained)
        any_decays, parameters = any(weight_decay.values()), parameters_of(self._trained)
        decays = {id(parameters[n]): lam for n, lam in weight_decay.items() if lam > 0 or not any_decays}
        chosen = {id(p): p.detach() for p in parameters.values() if id(p) in decays}
        residuals = [(sums[key] + decays[key] * p).norm().item() for key, p in chosen.items()]
        lambdas = np.array([decays[key] for key in chosen])
        return total_residual(np.array(residuals), list(chosen.values()), lambdas)

    def _check_same_function(self) -> None:
        with torch.no_grad():
            if self._trained is not self._model and _differ(
                self._output, self._run(self._few(), model=self._trained)
            ):
                raise ValueError(
                    "model: its outputs change if weights that are computed become parameters; remove "
                    "parametrizations and hooks, or call merge_and_unload()"
                )

    def potential(
        self, neurons: Neurons, weight_decay: NDArray[np.float64], bias_decay: NDArray[np.float64]
    ) -> Potential | None:
        of = self._hidden.get(neurons.layer)
        decay, next_decay = weight_decay[0, neurons.layer], weight_decay[0, neurons.after]
        phi = None if of is None else activation_between(of)
        around = None if of is None or phi is None or not decay * next_decay > 0 else self._around(of)
        if phi is None or around is None:
            return None
        z, delta = around
        shares = torch.ones(1, z.shape[2], dtype=torch.float64)
        if self._bias(neurons) is not None:
            shares[:, -1] = bias_decay[0, neurons.layer] / decay
        return Potential(z, delta, phi, torch.tensor([decay]), torch.tensor([next_decay]), shares)

    def _around(self, of: Hidden) -> tuple[Tensor, Tensor] | None:
        """What enters a layer, and p_i times the derivatives of the loss behind the next layer.

        (1, points, n) each, with a row for each position of a point; None if the memory does not suffice.
        """
        found = list[tuple[Tensor, Tensor]]()
        for rows, x in self._passed("potential"):
            with _watching(of.layer, of.next_layer) as seen:
                y = self._y[rows]
                shares = torch.full((len(y),), 1 / self.points, dtype=torch.float64)
                self._gradients(self._value(self._run(x), y, shares))
            first = at_positions(of, *(part[:1] for part in seen))
            if self.points * sum(part.nbytes for part in first) > MEMORY // COPIES:
                return None
            found.append(at_positions(of, *seen))
        z, delta = (torch.cat(parts)[None] for parts in zip(*found, strict=True))
        return z, delta

    def gradient_from(self, source: int, z: Tensor, y: Tensor, shares: Tensor) -> list[Tensor | None]:
        at, kept = self._sources[source], shares[0] > 0  # an empty set has no centroid
        y = y[0, kept].reshape(-1, *self._y.shape)
        z = z[0, kept].reshape(-1, *at.shape).to(self.device)
        before = self._inputs(np.arange(len(z)) % self.points)
        gradient = self._gradients(self._value(self._run(before, at, z), y, shares[0, kept]))
        triples = zip(gradient, self.weights, self.below[:, source], strict=True)
        return [(torch.zeros_like(w) if g is None else g) if below else None for g, w, below in triples]

    def _value(self, output: Tensor, y: Tensor, shares: Tensor) -> Tensor:
        """sum_i p_i ell_i."""
        y, shares = y.to(self.device), shares.to(self.device)
        # the output of one point may be squeezed
        output = self._y.beside(output.reshape(len(y), *self._output.shape[1:]))
        with computing(self.device):
            return self._scale * (shares * self._loss.each(output, y)).sum()


@dataclass(frozen=True)
class _Call:
    """A call of a module with the features that enter it; in-place changes increase their version."""

    name: str
    module: nn.Module
    z: Tensor | None
    version: int

    @property
    def key(self) -> tuple[int, int]:
        return id(self.z), self.version


def _holders(parameter: str) -> list[str]:
    """Names of the modules that contain a parameter, the innermost first."""
    parts = parameter.split(".")[:-1]
    return [".".join(parts[:count]) for count in range(len(parts), -1, -1)]


@contextmanager
def _entering(module: nn.Module, intercept: Intercept, every_call: bool = False) -> Iterator[None]:
    """Intercept the first tensor that enters a module, at its first call or at every call."""
    calls = 0

    def hook(
        module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        nonlocal calls
        calls += 1
        if calls > 1 and not every_call:
            return None
        z = next((value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)), None)
        other = intercept(z)
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
def _watching(layer: nn.Module, after: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what enters a layer, and then the derivatives in the outputs of the next layer."""
    seen = list[Tensor]()

    def keep(values: Tensor) -> None:
        seen.append(values.detach().to("cpu", copy=True))

    def before(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        keep(args[0])

    def behind(module: nn.Module, args: Any, output: Tensor) -> None:
        output.register_hook(keep)  # type: ignore[no-untyped-call]

    handles = layer.register_forward_pre_hook(before), after.register_forward_hook(behind)
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _check_output(output: Tensor, points: int) -> None:
    if output.ndim == 0 or len(output) != points:
        raise TypeError(
            f"model: its output for {points} points is of shape {tuple(output.shape)}, but must be a tensor "
            f"({points}, ...)"
        )
    if not output.isfinite().all():
        raise DivergedError("model: its outputs are not finite; every number must be")


def _check_finite(values: Tensor, rows: slice, what: str) -> None:
    finite = values.isfinite().all(1)
    if not finite.all():
        point = rows.start + int((~finite).nonzero()[0])
        raise DivergedError(f"model: {what} are not finite at point {point}; every number must be")


def _precision(values: Sequence[Tensor | None]) -> str:
    """The type with the fewest digits among real numbers."""
    types = {z.dtype for z in values if z is not None and z.is_floating_point()}
    return str(max(types, key=lambda dtype: torch.finfo(dtype).eps)).removeprefix("torch.")


def _differ(a: Tensor, b: Tensor) -> bool:
    return not bool(((a - b).abs() <= TOLERANCE * a.abs().max()).all())
