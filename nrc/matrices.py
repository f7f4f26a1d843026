"""The matrices that are in the parameters of a module."""

from collections.abc import Iterator

from torch import nn

__all__ = ["matrices"]

KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def matrices(name: str, module: nn.Module) -> Iterator[tuple[str, str, slice]]:
    """The matrices of a module without its children: their names, parameters and rows."""
    if isinstance(module, KINDS):
        yield name, "weight", slice(None)
    elif isinstance(module, nn.MultiheadAttention):
        size = module.embed_dim
        for number, part in enumerate(("q_proj", "k_proj", "v_proj")):
            if module.in_proj_weight is None:
                yield f"{name}.{part}", f"{part}_weight", slice(None)
            else:
                yield f"{name}.{part}", "in_proj_weight", slice(number * size, (number + 1) * size)
