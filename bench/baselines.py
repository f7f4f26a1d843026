"""Three programs that train the same networks without this engine, written with care.

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

__all__ = ["closure_for_scipy", "minimised", "scipy_lbfgs", "scipy_options", "torch_func", "torch_lbfgs"]

HISTORY = 10

Array = NDArray[np.float64]


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


def closure_for_scipy(problem: Problem, cell: dict) -> Callable[[Array], tuple[float, Array]]:
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


def scipy_lbfgs(problem: Problem, budget: Budget) -> Run:
    """scipy's L-BFGS-B on a torch closure, one cell at a time."""
    use_threads(1)
    runs = []
    for cell, start in zip(problem.stack.cells(), problem.start().numpy(), strict=True):
        function = closure_for_scipy(problem, cell)
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
