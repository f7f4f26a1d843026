"""Programs that train the same networks without this engine, written with care.

They compute in float64 with one thread, from the same initial weights and data as the engine. Each takes
a problem and a budget, and returns a `Run`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from bench.machine import use_threads
from bench.problems import Problem
from bench.runs import Budget, Halt, Run, Watch

__all__ = ["CLOSURES", "jax_lbfgs", "minimised", "scipy_lbfgs", "scipy_options", "torch_func", "torch_lbfgs"]

HISTORY = 10

Array = NDArray[np.float64]
Function = Callable[[Array], tuple[float, Array]]


def module_of(shapes: list[tuple[int, int]], theta: Tensor) -> nn.Sequential:
    """A tanh network with the given weights."""
    layers = [nn.Linear(n_in, n_out, bias=False, dtype=torch.float64) for n_out, n_in in shapes]
    nn.utils.vector_to_parameters(theta, [layer.weight for layer in layers])
    return nn.Sequential(*[module for layer in layers for module in (layer, nn.Tanh())][:-1])


def optimiser_of(parameters: list[Tensor]) -> torch.optim.LBFGS:
    """torch's L-BFGS with its own stopping tolerances switched off."""
    never = {"tolerance_grad": 0.0, "tolerance_change": 0.0}
    return torch.optim.LBFGS(parameters, history_size=HISTORY, line_search_fn="strong_wolfe", **never)


def followed(optimiser: torch.optim.LBFGS, closure: Callable[[], Tensor]) -> None:
    """Call an optimiser until its closure halts, or a call no longer lowers the loss."""
    value = torch.inf
    try:
        # a call returns the loss at its start
        while (begun := optimiser.step(closure)) < value:
            value = begun
    except Halt:
        pass


def torch_lbfgs(problem: Problem, budget: Budget) -> Run:
    """nn.Sequential and torch.optim.LBFGS with its strong Wolfe line search, one cell at a time."""
    use_threads(1)
    runs = []
    for cell, theta in zip(problem.stack.cells(), problem.start(), strict=True):
        x, y, weight_decay = problem.cell(cell)
        network = module_of(problem.shapes, theta)
        parameters = list(network.parameters())
        optimiser = optimiser_of(parameters)
        watch = Watch(torch.tensor([weight_decay], dtype=torch.float64), budget)

        def closure(network=network, parameters=parameters, x=x, y=y, decay=weight_decay, watch=watch):
            network.zero_grad()
            error = (network(x) - y).square().sum() / (2 * len(x))
            loss = error + decay / 2 * sum(w.square().sum() for w in parameters)
            loss.backward()
            watch([w[None] for w in parameters], [w.grad[None] for w in parameters])
            return loss

        followed(optimiser, closure)
        runs.append(watch.run())
    return Run.of_cells(runs)


def torch_closure(problem: Problem, cell: dict) -> Function:
    """Value and gradient of one cell, by autograd on views of the vector of scipy."""
    x, y, weight_decay = problem.cell(cell)
    shapes = problem.shapes
    sizes = [n_out * n_in for n_out, n_in in shapes]

    def value_and_gradient(theta: Array) -> tuple[float, Array]:
        parts = torch.from_numpy(theta).split(sizes)
        weights = [part.view(shape).requires_grad_() for part, shape in zip(parts, shapes, strict=True)]
        z = x
        for w in weights[:-1]:
            z = torch.tanh(z @ w.T)
        loss = (z @ weights[-1].T - y).square().sum() / (2 * len(x))
        gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)]).numpy()
        return loss.item() + weight_decay / 2 * (theta @ theta), gradient + weight_decay * theta

    return value_and_gradient


def numpy_closure(problem: Problem, cell: dict) -> Function:
    """Value and gradient of one cell, by hand, with a row for each feature and without allocation."""
    x, y, weight_decay = problem.cell(cell)
    x, y = (np.ascontiguousarray(a.numpy().T) for a in (x, y))
    shapes, points = problem.shapes, x.shape[1]
    ends = np.cumsum([0, *(n_out * n_in for n_out, n_in in shapes)])
    z = [x, *(np.empty((n_out, points)) for n_out, _ in shapes)]
    deltas = [np.empty_like(a) for a in z]
    gradient = np.empty(ends[-1])

    def layers(flat: Array) -> list[Array]:
        return [flat[a:b].reshape(shape) for a, b, shape in zip(ends[:-1], ends[1:], shapes, strict=True)]

    into = layers(gradient)

    def value_and_gradient(theta: Array) -> tuple[float, Array]:
        weights = layers(theta)
        for l, w in enumerate(weights):
            np.dot(w, z[l], out=z[l + 1])
            if l < len(weights) - 1:
                np.tanh(z[l + 1], out=z[l + 1])
        delta = np.subtract(z[-1], y, out=deltas[-1])
        loss = np.vdot(delta, delta) / (2 * points)
        delta /= points
        for l in reversed(range(len(weights))):
            np.dot(delta, z[l].T, out=into[l])
            if l:
                before = np.dot(weights[l].T, delta, out=deltas[l])
                slope = np.multiply(z[l], z[l], out=z[l])
                delta = np.multiply(before, np.subtract(1, slope, out=slope), out=before)
        return loss + weight_decay / 2 * (theta @ theta), gradient + weight_decay * theta

    return value_and_gradient


CLOSURES = {"numpy": numpy_closure, "torch": torch_closure}


def scipy_lbfgs(problem: Problem, budget: Budget, closure: str) -> Run:
    """scipy's L-BFGS-B on a closure of `CLOSURES`, one cell at a time."""
    use_threads(1)
    runs = []
    for cell, start in zip(problem.stack.cells(), problem.start().numpy(), strict=True):
        function = CLOSURES[closure](problem, cell)
        watch = Watch(torch.tensor([cell["weight_decay"]], dtype=torch.float64), budget)

        def watched(theta: Array, function=function, watch=watch) -> tuple[float, Array]:
            value, gradient = function(theta)
            watch([torch.from_numpy(theta)[None]], [torch.from_numpy(gradient)[None]])
            return value, gradient

        minimised(watched, start)
        runs.append(watch.run())
    return Run.of_cells(runs)


def scipy_options(evaluations: int) -> dict[str, Any]:
    """Options with which L-BFGS-B stops only at its budget, or when it finds no lower value."""
    options = {"maxcor": HISTORY, "ftol": 0.0, "gtol": 0.0, "maxiter": 10**9, "maxfun": evaluations}
    return {"jac": True, "method": "L-BFGS-B", "options": options}


def minimised(function: Callable[[Array], tuple[float, Array]], theta: Array) -> None:
    """Run L-BFGS-B until the function halts; restart it where it stops, as long as a restart helps."""
    value = np.inf
    try:
        while (end := minimize(function, theta, **scipy_options(10**9))).fun < value:
            theta, value = end.x, end.fun
    except Halt:
        pass


def torch_func(problem: Problem, budget: Budget) -> Run:
    """All cells as an ensemble of torch.func, and torch.optim.LBFGS on the sum of their losses.

    torch.func has no optimiser. Its tutorials use a first-order method, which does not reach these
    residuals. A user who needs them gives the stacked parameters to torch's L-BFGS, which then has one
    step length and one model of the curvature for all cells.
    """
    use_threads(1)
    cells = list(problem.stack.cells())
    networks = [module_of(problem.shapes, theta) for theta in problem.start()]
    stacked, buffers = stack_module_state(networks)
    x, y = (torch.stack(arrays) for arrays in list(zip(*map(problem.cell, cells), strict=True))[:2])
    weight_decay = torch.tensor([cell["weight_decay"] for cell in cells], dtype=torch.float64)

    def loss(parameters, buffers, x, y, weight_decay):
        output = functional_call(networks[0], (parameters, buffers), (x,))
        penalty = sum(w.square().sum() for w in parameters.values())
        return (output - y).square().sum() / (2 * len(x)) + weight_decay / 2 * penalty

    of_all = vmap(grad_and_value(loss))
    parameters = {name: w.detach() for name, w in stacked.items()}
    optimiser = optimiser_of(list(parameters.values()))
    watch = Watch(weight_decay, budget)

    def closure() -> Tensor:
        gradient, values = of_all(parameters, buffers, x, y, weight_decay)
        for name, w in parameters.items():
            w.grad = gradient[name]
        watch(list(parameters.values()), list(gradient.values()))
        return values.sum()

    followed(optimiser, closure)
    return watch.run()


def jax_lbfgs(problem: Problem, budget: Budget) -> Run:
    """optax's L-BFGS with its zoom line search in JAX: a step of all cells is one compiled function.

    Under vmap all cells do as many trials as the cell with most of them. JAX is no dependency of this
    project; install jax and optax to time this program.
    """
    import jax
    import optax
    from jax import numpy as jnp

    jax.config.update("jax_enable_x64", True)
    cells = list(problem.stack.cells())
    x, y, decay = (
        jnp.stack([jnp.asarray(a) for a in part]) for part in zip(*map(problem.cell, cells), strict=True)
    )
    ends = np.cumsum([n_out * n_in for n_out, n_in in problem.shapes])
    solver = optax.lbfgs(memory_size=HISTORY)

    def loss(theta, x, y, decay):
        z = x
        for l, (part, shape) in enumerate(zip(jnp.split(theta, ends[:-1]), problem.shapes, strict=True)):
            z = (jnp.tanh(z) if l else z) @ part.reshape(shape).T
        return jnp.sum((z - y) ** 2) / (2 * len(x)) + decay / 2 * jnp.sum(theta**2)

    def step(theta, state, x, y, decay):
        def value(theta):
            return loss(theta, x, y, decay)

        found, gradient = optax.value_and_grad_from_state(value)(theta, state=state)
        update, state = solver.update(gradient, state, theta, value=found, grad=gradient, value_fn=value)
        theta = optax.apply_updates(theta, update)
        trials = optax.tree.get(state, "num_linesearch_steps")
        return theta, state, optax.tree.get(state, "grad"), trials

    step = jax.jit(jax.vmap(step))
    theta = jnp.asarray(problem.start().numpy())
    state = jax.vmap(solver.init)(theta)
    jax.block_until_ready(step(theta, state, x, y, decay))  # compiled before the clock starts
    watch = Watch(torch.tensor(np.asarray(decay)), budget)
    try:
        while True:
            theta, state, gradient, trials = step(theta, state, x, y, decay)
            watch(*([torch.tensor(np.asarray(a))] for a in (theta, gradient)), evaluations=int(trials.max()))
    except Halt:
        return watch.run()
