"""Settings of the numerical libraries under which equal inputs give equal bytes."""

import os

import torch
from threadpoolctl import threadpool_limits

__all__ = ["make_deterministic"]


def make_deterministic(*, tf32: bool = False) -> None:
    """Fix the order of floating-point operations. Call it before the first tensor is computed.

    In the strict mode of MKL, a matrix product does not depend on the alignment of the matrix in memory, and
    so not on the place of a cell in its stack. A cell trained alone has the same bits as in a stack.

    All libraries use one CPU thread, so that results do not depend on the number of cores. Parts of stacks
    run in parallel instead.

    Parameters
    ----------
    tf32 : bool
        Whether a GPU may round the factors of float32 products to ten bits.

    Examples
    --------
    >>> make_deterministic()
    >>> torch.get_num_threads()
    1
    """
    os.environ["MKL_CBWR"] = "AUTO,STRICT"
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    # as use_deterministic_algorithms(True), which would also import the compiler and take a second
    torch.set_deterministic_debug_mode("error")
    # all memory is written before it is read; type checkers do not find this property, made at import
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.set_num_threads(1)
    threadpool_limits(1)
