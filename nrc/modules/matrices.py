"""The matrices in the parameters of a module.

A matrix maps the inputs of a layer to its outputs, and has the shape (outputs, inputs). A kernel is unfolded
to (outputs, inputs/groups * positions). A parameter may hold several matrices, such as the gates of an LSTM.
"""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

__all__ = ["TABLES", "View", "matrices", "stored_matrices", "unfolded"]

# A linear function from a parameter, or its gradient, to a matrix in it.
View = Callable[[Tensor], Tensor]

# Tables of vectors, whose product with a one-hot vector is a row: the matrix is the transposed table.
TABLES = (nn.Embedding, nn.EmbeddingBag)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
# A norm may have weights with several axes, but multiplies each number by its own.
NORMS = (nn.LayerNorm, nn.RMSNorm)
GATES = {nn.LSTM: "ifgo", nn.LSTMCell: "ifgo", nn.GRU: "rzn", nn.GRUCell: "rzn"}


def matrices(module: nn.Module, own: str) -> dict[str, View]:
    """The matrices in a parameter of a module, by names that begin with the name of the parameter.

    The name is empty for the only matrix of a parameter `weight`.

    Examples
    --------
    >>> lstm = torch.nn.LSTM(3, 5)
    >>> found = matrices(lstm, "weight_ih_l0")
    >>> list(found), found["weight_ih_l0.i"](lstm.weight_ih_l0).shape
    (['weight_ih_l0.i', 'weight_ih_l0.f', 'weight_ih_l0.g', 'weight_ih_l0.o'], torch.Size([5, 3]))
    """
    parameter = module._parameters[own]
    assert parameter is not None, "a parameter that is there"
    shape = parameter.shape
    if isinstance(module, NORMS) or parameter.numel() == 0:
        return {}
    if isinstance(module, nn.MultiheadAttention):
        if own == "in_proj_weight":
            return _blocks(("q_proj", "k_proj", "v_proj"), shape[0])
        if own.endswith("_proj_weight"):
            return {own.removesuffix("_weight"): unfolded}
    if isinstance(module, (nn.RNNBase, nn.RNNCellBase)) and own.startswith(("weight_ih", "weight_hh")):
        gates = next((names for kind, names in GATES.items() if isinstance(module, kind)), "")
        return _blocks([f"{own}.{gate}" for gate in gates] or [own], shape[0])
    if own == "weight":
        if isinstance(module, (nn.Linear, nn.Bilinear, *CONVOLUTIONS)):
            return {"": unfolded}
        if isinstance(module, TRANSPOSED):
            return {"": _of_transposed(module.groups)}
        if isinstance(module, TABLES) or _is_conv1d(module):
            return {"": transposed}
    return stored_matrices(own, shape)


def stored_matrices(name: str, shape: Sequence[int]) -> dict[str, View]:
    """The matrices in a parameter of a module of which only the parameter is known, by their names.

    A kernel is called `weight` and unfolded along its first axis. Another parameter with three axes is a
    stack of matrices. Axes of length 1 do not count, so that a parameter with less than two others is a
    vector. Biases with several axes are stacks of vectors.

    Examples
    --------
    >>> list(stored_matrices("up", (3, 8, 4))), list(stored_matrices("weight", (8, 4, 3)))
    (['up.0', 'up.1', 'up.2'], [''])
    >>> list(stored_matrices("class_token", (1, 1, 8)))
    []
    """
    own = name.rpartition(".")[2]
    called = name.removesuffix("weight").removesuffix(".") if own == "weight" else name
    longer = [length for length in shape if length > 1]
    if own.endswith("bias") or len(shape) < 2 or 0 in shape or (len(shape) > 2 and len(longer) < 2):
        return {}
    if len(shape) == 2 or own == "weight":
        return {called: unfolded}
    if len(longer) == 3:
        return {f"{called}.{number}": _entry(number, longer) for number in range(longer[0])}
    return {called: lambda p: p.reshape(longer).flatten(1)}


def unfolded(p: Tensor) -> Tensor:
    """The first axis are rows."""
    return p.flatten(1)


def transposed(p: Tensor) -> Tensor:
    """The first axis are columns."""
    return p.mT


def _is_conv1d(module: nn.Module) -> bool:
    """Whether it is the Conv1D of transformers, a linear layer with a weight (inputs, outputs)."""
    return type(module).__name__ == "Conv1D" and hasattr(module, "nf")


def _blocks(names: Sequence[str], rows: int) -> dict[str, View]:
    """Blocks of as many rows for each name."""
    size = rows // len(names)
    return {name: _block(slice(first * size, (first + 1) * size)) for first, name in enumerate(names)}


def _block(rows: slice) -> View:
    return lambda p: p[rows]


def _entry(number: int, shape: Sequence[int]) -> View:
    return lambda p: p.reshape(shape)[number]


def _of_transposed(groups: int) -> View:
    """From (inputs, outputs/groups, ...) to (outputs, inputs/groups * positions)."""
    return lambda p: p.reshape(groups, -1, *p.shape[1:]).transpose(1, 2).flatten(0, 1).flatten(1)
