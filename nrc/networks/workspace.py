"""Memory that evaluations use again, because fresh memory would cost more than the arithmetic."""

from math import prod

from torch import Tensor

__all__ = ["FRESH", "Workspace"]


class Workspace:
    """Memory that each evaluation uses again.

    The next evaluation overwrites what lies in it. Two threads must not share a workspace.

    Examples
    --------
    >>> workspace, like = Workspace(), torch.ones(1)
    >>> first = workspace.buffer("features", like, 2, 3)
    >>> first.shape
    torch.Size([2, 3])
    >>> workspace.buffer("features", like, 3).data_ptr() == first.data_ptr()
    True
    """

    def __init__(self) -> None:
        self._memory: dict[object, Tensor] = {}

    def buffer(self, name: object, like: Tensor, *shape: int) -> Tensor | None:
        """A tensor of a shape with any content, in the precision and on the device of another tensor."""
        size, memory = prod(shape), self._memory.get(name)
        if memory is None or len(memory) < size or memory.dtype != like.dtype:
            memory = self._memory[name] = like.new_empty(size)
        return memory[:size].view(shape)

    def over(self, a: Tensor) -> Tensor | None:
        """Where to write a function of a tensor that is not needed any more: over the tensor."""
        return a


class _Fresh(Workspace):
    """No memory: every result is a new tensor, and autograd can follow."""

    def buffer(self, name: object, like: Tensor, *shape: int) -> Tensor | None:
        return None

    def over(self, a: Tensor) -> Tensor | None:
        return None


FRESH = _Fresh()
