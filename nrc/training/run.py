"""Training a stack of networks until every cell is stationary or out of budget."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from nrc.batching import (
    Sample,
    architecture_of,
    initial_parameters,
    regularised_loss,
    sample,
    training_sample,
)
from nrc.data.points import Points
from nrc.grid import Stack, Value
from nrc.networks import Network
from nrc.objectives.module_loss import RegularisedModuleLoss, twice_differentiable
from nrc.objectives.principal_axes import Rotation
from nrc.objectives.protocols import Point, per_cell
from nrc.objectives.regularised_loss import RegularisedLoss
from nrc.optimize import build, rotates
from nrc.optimize.minimise import Minimisation, RunProgress, minimise
from nrc.optimize.protocols import RunInfo, State
from nrc.status import Status
from nrc.training.checkpoint import Checkpoint
from nrc.training.parallel import Cells, Parts, in_blocks, part_size, useful_threads
from nrc.training.snapshots import Snapshots, snapshot_times
from nrc.training.trained_file import (
    Arrays,
    in_order,
    network_arrays,
    require_parameters,
    trained_dataset,
)
from nrc.training.warm_start import InitialPoint

__all__ = ["PRECISIONS", "ReportProgress", "device_of", "train"]

# tf32 is float32 with products that a GPU may round to ten bits
PRECISIONS = {"float64": torch.float64, "float32": torch.float32, "tf32": torch.float32}

# Receives the number of a part, and a function that returns its progress.
ReportProgress = Callable[[int, Callable[[], RunProgress]], None]

logger = logging.getLogger(__name__)


def train(
    stack: Stack | Mapping[str, Value | list[Value]],
    points: Points | Mapping[int, Points],
    *,
    task: str = "autoencode",
    network: Network = "mlp",
    loss: str | None = None,
    penalty: str = "factors",
    loss_on: str = "data",
    method: str | Mapping[str, Any] = "lbfgs",
    tolerance: float = 1e-6,
    epochs: int = 20_000,
    precision: str = "float64",
    snapshot_every: int | None = None,
    warm_start: InitialPoint | xr.Dataset | None = None,
    checkpoint: Checkpoint | None = None,
    device: str | torch.device = "cpu",
    threads: int = 1,
    known: tuple[Cells, Arrays] | None = None,
    fingerprints: Sequence[str] | None = None,
    report: ReportProgress | None = None,
    name: str = "training",
) -> xr.Dataset:
    """Train the networks of a stack, each until it is stationary or its budget is spent.

    Cells are independent: the numbers of a cell do not depend on the other cells, on parts or on threads.
    They have the same bits in every run after `nrc.determinism.make_deterministic`.

    Parameters
    ----------
    stack : Stack or mapping
        For every axis, `weight_decay`, `sigma`, `width`, `depth` and `seed`, a value, or a list of values for
        all axes but width and depth.
    points : Points or mapping
        The data of each seed, or of all seeds.
    task : {"autoencode", "classify", "regress"}
    network : str, mapping or callable
        A kind of `nrc.networks` by its name, its options with its `kind` (mlp if not given), or a function
        `build(input_shape, outputs, width, depth)` that returns a torch module.
    loss, penalty : str, optional
        If `loss` is not given, it is `cross_entropy` for the task `classify`, and otherwise `squared_error`.
    loss_on : {"data", "centroids"}
        Whether the loss is on all points, or on the centroids of the clusters (eq. 8 with k = 0).
    method : str or mapping
        A method of `nrc.optimize` by its name, or its `name` and its options.
    tolerance : float
        A cell has converged when its relative residual is at most this.
    epochs : int
        Budget of each cell: evaluations on all points.
    precision : {"float64", "float32", "tf32"}
    snapshot_every : int, optional
        Epochs between snapshots of singular values and class WCSS; none if not given.
    warm_start : InitialPoint or Dataset, optional
        Networks to start from, such as the result of an earlier call on the same stack. If not given, weights
        are random, by the seed of the cell.
    checkpoint : Checkpoint, optional
        Continue from its state, and save states in it.
    device : str or torch.device
        "cpu", "cuda", or "auto" for a GPU if there is one.
    threads : int
        Number of parts of the stack that train at a time, each on one core.
    known : tuple of arrays, optional
        Numbers and arrays of cells that need no training.
    fingerprints : sequence of str, optional
        A fingerprint for each cell, to be stored with it.
    report : callable, optional
        Called after every iteration.
    name : str
        Name of the stack in messages.

    Returns
    -------
    Dataset
        Weights `W1`, ..., `WL`, or the parameters of a torch module by their names, and how each cell
        terminated, with the dimensions of the stack. If memory does not suffice for all cells at a time, they
        are trained in smaller parts.

    Raises
    ------
    ValueError
        If the options do not fit each other, the networks of the warm start have other parameters, or a
        single network does not fit in memory.
    InterruptedError
        If the checkpoint was requested to end training.

    Examples
    --------
    Autoencoders of points on a line, for two values of weight decay:

    >>> x = np.array([[2.0, 0.0], [-2.0, 0.0]])
    >>> points = Points(seed=0, base=x, labels=np.array([0, 1]))
    >>> stack = {"weight_decay": [0.1, 0.2], "sigma": 0.0, "width": 3, "depth": 2, "seed": 0}
    >>> trained = nrc.train(stack, points, network={"activation": "linear"}, method="varpro")
    >>> trained["W2"].dims
    ('weight_decay', 'n2', 'n1')

    The product of the layers has the singular value 1 - lambda / 4 in the direction of the points:

    >>> product = trained["W2"].values @ trained["W1"].values
    >>> [round(float(np.linalg.norm(w)), 4) for w in product]
    [0.975, 0.95]
    """
    stack = stack if isinstance(stack, Stack) else Stack(stack)
    if isinstance(points, Points):
        points = {seed: replace(points, seed=seed) for seed in stack.seeds}
    options: dict[str, Any] = {"name": method} if isinstance(method, str) else dict(method)
    method_name, device = str(options.pop("name")), device_of(device)
    centroids = loss_on == "centroids"
    observed = sample(stack, points, task, centroids=centroids)
    input_shape = points[stack.seeds[0]].input_shape
    architecture = architecture_of(stack, input_shape, observed.y.shape[-1], network)
    linear = architecture.linear and task == "autoencode"
    trained_on = observed
    if centroids or linear:
        trained_on = training_sample(stack, points, task, centroids=centroids, linear=linear)
    loss = loss or ("cross_entropy" if task == "classify" else "squared_error")
    objective = regularised_loss(
        stack, architecture, trained_on, PRECISIONS[precision], loss=loss, penalty=penalty
    )
    if warm_start is None:
        warm_start = InitialPoint(initial_parameters(stack, architecture))
    elif isinstance(warm_start, xr.Dataset):
        require_parameters(warm_start, architecture)
        warm_start = InitialPoint.of(warm_start, stack)
    times = warm_start.new_times(snapshot_times(snapshot_every, epochs) if snapshot_every else [])
    # on a GPU all cells are evaluated at a time, and on a CPU as many as its cache holds
    window = len(stack)
    if isinstance(objective, RegularisedModuleLoss):
        window = 1  # cells are evaluated one after the other
    elif device.type == "cpu":
        at_a_time = options.get("batch") or objective.x.shape[1]
        threads = useful_threads(threads, architecture.parameters, at_a_time)
        objective, window = in_blocks(objective, at_a_time)
    train_cells = _TrainCells(
        objective, warm_start, observed, times, method_name, options, tolerance, epochs, window, device,
        [int(cell["seed"]) for cell in stack.cells()], report or _no_report,
    )  # fmt: skip

    numbers, arrays = known or (np.array([], dtype=np.int64), {})
    wanted = np.setdiff1d(np.arange(len(stack)), numbers)
    # in principal axes cells have networks of different sizes
    size = 1 if rotates(method_name) else part_size(len(stack), window, threads)
    parts = Parts(wanted, size, checkpoint, device, name)
    earlier = [part for _, part in parts.finished.values()] + ([arrays] if len(numbers) else [])
    for number, part in enumerate(earlier, start=1):
        train_cells.report_finished(-number, part)
    with twice_differentiable() if train_cells.of_modules else nullcontext():
        parts.run(train_cells, threads)
    finished = list(parts.finished.values())
    if len(wanted):
        converged = sum(int((part["status"] == Status.CONVERGED).sum()) for _, part in finished)
        logger.info(f"{name}: {converged} of {len(wanted)} cells converged")
    arrays = in_order([*([(numbers, arrays)] if len(numbers) else []), *finished])
    if fingerprints is not None:
        arrays["fingerprint"] = np.array(fingerprints, dtype="S64")
    return trained_dataset(stack, arrays, architecture, warm_start.all_times(times), warm_start.epochs)


def device_of(name: str | torch.device) -> torch.device:
    """The torch device for "auto", "cpu" or "cuda".

    Raises
    ------
    ValueError
        If it is "cuda" and there is no GPU.

    Examples
    --------
    >>> device_of("cpu")
    device(type='cpu')
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is cuda, but torch finds no GPU; use device: auto or cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _no_report(part: int, progress: Callable[[], RunProgress]) -> None:
    pass


@dataclass(frozen=True)
class _TrainCells:
    """Trains some cells of a stack, given by their numbers."""

    objective: RegularisedLoss | RegularisedModuleLoss
    initial: InitialPoint
    observed: Sample
    times: list[int]
    method: str
    options: Mapping[str, Any]
    tolerance: float
    epochs: int
    window: int
    device: torch.device
    seeds: list[int]
    report: ReportProgress

    def __call__(self, cells: Cells, state: State, take: Callable[[Callable[[], State]], None]) -> Arrays:
        # without autograd a CPU is a tenth faster
        with torch.inference_mode(self.device.type == "cpu" and not self.of_modules):
            return self._train(cells, state, take)

    def _train(self, cells: Cells, state: State, take: Callable[[Callable[[], State]], None]) -> Arrays:
        part = int(cells[0])
        objective: Any = self.objective.select(torch.from_numpy(cells)).to(self.device)
        rotation = Rotation(None)
        if rotates(self.method) and isinstance(objective, RegularisedLoss):
            rotation = Rotation.of(objective)
        rotated = rotation.rotate(objective)
        back = partial(rotation.back, rotated)
        snapshots = self._snapshots(objective, cells, back) if self.times else None
        seeds = [self.seeds[cell] for cell in cells]
        run_info = RunInfo(self.epochs, seeds, self.tolerance, modules=self.of_modules)

        def after_step(run: Minimisation) -> None:
            self.report(part, lambda: run.progress)
            take(lambda: run.state)

        theta = self.initial.theta[cells].to(self.device, objective.x.dtype)
        end = minimise(
            rotated,
            rotation.into(objective, theta),
            build(self.method, self.options, run_info),
            tolerance=self.tolerance,
            epochs=self.epochs,
            window=self.window,
            observer=snapshots,
            state=state,
            report=after_step,
        )
        end.point = Point(back(end.point.theta), end.point.value, back(end.point.gradient))
        arrays = network_arrays(objective, end, snapshots)
        self.report_finished(part, arrays)
        return self.initial.with_earlier_snapshots(arrays, cells)

    @property
    def of_modules(self) -> bool:
        """Whether the networks are torch modules."""
        return isinstance(self.objective, RegularisedModuleLoss)

    def report_finished(self, part: int, arrays: Arrays) -> None:
        """Report the progress of a part that needs no more training."""
        status = arrays["status"]
        progress = RunProgress(len(status), int((status == Status.CONVERGED).sum()))
        self.report(part, lambda: progress)

    def _snapshots(
        self,
        objective: RegularisedLoss | RegularisedModuleLoss,
        cells: Cells,
        parameters: Callable[[Tensor], Tensor],
    ) -> Snapshots:
        x, y, labels = (per_cell(a, cells) for a in (self.observed.x, self.observed.y, self.observed.labels))
        features, targets = (torch.tensor(a, dtype=objective.x.dtype, device=self.device) for a in (x, y))
        return Snapshots(
            objective.architecture, features, targets, labels, len(cells), self.times, parameters
        )
