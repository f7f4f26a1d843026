"""Memory that evaluations use again, because fresh memory would cost more than the arithmetic."""

from math import prod

from nrc.networks.arrays import Array, namespace

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
        self._memory: dict[object, Array] = {}

    def buffer(self, name: object, like: Array, *shape: int) -> Array | None:
        """An array of a shape with any content, like another in its library, precision and device."""
        size, key = prod(shape), (name, like.dtype)
        memory = self._memory.get(key)
        if memory is None or len(memory) < size:
            memory = namespace(like).empty(size, dtype=like.dtype, device=like.device)
            self._memory[key] = memory
        return memory[:size].reshape(shape)

    def over(self, a: Array) -> Array | None:
        """Where to write a function of an array that is not needed any more: over the array."""
        return a


class _Fresh(Workspace):
    """No memory: every result is a new array, and autograd can follow."""

    def buffer(self, name: object, like: Array, *shape: int) -> Array | None:
        return None

    def over(self, a: Array) -> Array | None:
        return None


FRESH = _Fresh()
