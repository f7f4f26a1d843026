"""A GPU that is not there: torch holds every tensor on it to be on a GPU, and the CPU does the work.

Every operation runs twice: on torch's fake tensors, which have a device and a shape and no numbers,
and refuse to mix devices as a GPU does; and on the CPU, for the numbers. So whole programs run, with
loops that depend on numbers, and end in the bits of the CPU.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map, tree_map_only

__all__ = ["GPU", "PretendedGPU", "pretended_gpu"]

aten = torch.ops.aten
GPU = torch.device("cuda")
CPU = torch.device("cpu")
BY_NUMBERS = object()


class PretendedGPU(TorchDispatchMode):
    """Runs operations on both sides.

    Attributes
    ----------
    operations : set of str
        Names of the operations that ran on the GPU.
    memory : int
        Bytes that one tensor may have.
    """

    def __init__(self, fake: FakeTensorMode) -> None:
        super().__init__()
        self._fake = fake
        self.operations: set[str] = set()
        self.memory = sys.maxsize

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        leaves = tree_flatten((args, kwargs))[0]
        real_args, real_kwargs = tree_map(_real, (args, kwargs))
        on_gpu = any(isinstance(leaf, FakeTensor) or _is_gpu(leaf) for leaf in leaves)
        seen = None
        # the CPU's own work goes on as it does, and so does the way of a number to Python
        if on_gpu and func is not aten._local_scalar_dense.default:
            self.operations.add(func.overloadpacket.__name__)
            _check_indices(func, args)
            seen = self._shapes(func, args, kwargs)
        with _disable_current_modes():
            real = func(*real_args, **real_kwargs)
        return real if seen is None else self._joined(seen, real, leaves)

    def _shapes(self, func: Any, args: Any, kwargs: Any) -> Any:
        """What the GPU's side makes of it; nothing yet where the numbers decide on the shape."""
        seen_args, seen_kwargs = tree_map_only(Tensor, self._seen, (args, kwargs))
        try:
            with self._fake:
                return func(*seen_args, **seen_kwargs)
        except DynamicOutputShapeException:
            return BY_NUMBERS

    def _seen(self, tensor: Tensor) -> Tensor:
        """A tensor on the pretended GPU, which has no numbers."""
        return tensor if isinstance(tensor, FakeTensor) else self._fake.from_tensor(tensor)

    def _joined(self, seen: Any, real: Any, given: list[Any]) -> Any:
        """The results, each with its numbers; one on the CPU is a plain tensor."""
        if seen is BY_NUMBERS:
            with self._fake:
                seen = tree_map_only(Tensor, lambda r: torch.empty(r.shape, dtype=r.dtype, device=GPU), real)
        if isinstance(seen, list | tuple):
            return type(seen)(self._joined(*pair, given) for pair in zip(seen, real, strict=True))
        if not isinstance(seen, Tensor):
            return seen if isinstance(seen, torch.device) else real
        for leaf in given:
            if leaf is seen or leaf is real:  # changed in place
                return leaf
        if seen.device.type == "cpu":
            return real
        assert seen.shape == real.shape
        if real.nbytes > self.memory:
            raise torch.OutOfMemoryError(f"CUDA out of memory: {real.nbytes} bytes (a GPU that is not there)")
        seen.numbers = real
        return seen


def _real(leaf: Any) -> Any:
    if isinstance(leaf, FakeTensor):
        return leaf.numbers
    return CPU if _is_gpu(leaf) else leaf


def _is_gpu(leaf: Any) -> bool:
    return isinstance(leaf, torch.device) and leaf.type == "cuda"


def _check_indices(func: Any, args: Any) -> None:
    """What fake tensors let pass: a tensor may be indexed by the CPU or its own device, and takes values of its own."""
    if func.overloadpacket not in (aten.index, aten.index_put, aten.index_put_):
        return
    of, indices, *values = args
    for index in indices:
        if index is not None and index.device not in (CPU, of.device):
            raise RuntimeError(f"indices on {index.device} of a tensor on {of.device}")
    for value in values[:1]:
        if value.device != of.device and (value.ndim or value.device != CPU):
            raise RuntimeError(f"values on {value.device} for a tensor on {of.device}")


@contextmanager
def pretended_gpu() -> Iterator[PretendedGPU]:
    """Within, the device "cuda" is there."""
    fake = FakeTensorMode()
    with fake, PretendedGPU(fake) as gpu:
        yield gpu
