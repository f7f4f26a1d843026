"""Networks, a module for each kind: fully connected ones (`mlp`), and torch modules.

A kind is a module of this package, found by its name, with a class `Options` (`nrc.networks.options`) and

    architecture(options, input_shape, outputs, width, depth)

which returns a `nrc.networks.mlp.Architecture` or a `nrc.networks.module_architecture.ModuleArchitecture`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from nrc import kinds

__all__ = ["Network", "architecture", "entry_of"]

# A kind by its name, its options with its `kind`, or a function that builds a torch module.
Network = str | Mapping[str, Any] | Callable[..., Any]

# The kind of an entry that names none.
DEFAULT = "mlp"


def entry_of(network: str | Mapping[str, Any]) -> dict[str, Any]:
    """The kind of a network and its options, from its name or from a mapping without a kind.

    Examples
    --------
    >>> entry_of("residual"), entry_of({"activation": "linear"})
    ({'kind': 'residual'}, {'kind': 'mlp', 'activation': 'linear'})
    """
    return {"kind": network} if isinstance(network, str) else {"kind": DEFAULT, **network}


def architecture(
    network: Network,
    input_shape: tuple[int, ...],
    outputs: int,
    width: int,
    depth: int,
) -> Any:
    """The architecture of networks of a kind.

    Parameters
    ----------
    network : str, mapping or callable
        A kind by its name, its options with its `kind` (mlp if not given), or a function of the other
        arguments that builds a torch module.
    input_shape : tuple of int
        Shape of a point.
    outputs, width, depth : int

    Raises
    ------
    ValueError
        In one line, if an option is not allowed or the network cannot be built.

    Examples
    --------
    >>> architecture({"activation": "linear"}, (20,), outputs=5, width=8, depth=3).sizes
    (20, 8, 8, 5)
    >>> architecture("residual", (20,), outputs=5, width=8, depth=3).layers
    ['first', 'block1', 'last']
    """
    arguments = input_shape, outputs, width, depth
    if callable(network):
        return kinds.module("networks", "module").of_function(network, *arguments)
    kind, options = kinds.parse("networks", entry_of(network))
    options.check(input_shape, width, depth)
    return kind.architecture(options, *arguments)
