"""Same inputs, same bytes: what the numerical libraries must be told."""

import os

import torch

__all__ = ["make_deterministic"]


def make_deterministic(threads: int) -> None:
    """Fix the order of floating-point operations. Call it before the first tensor is computed.

    MKL's strict mode makes a matrix product independent of the matrix's alignment in memory, and
    so of the cell's place in its stack: a cell trained alone then has the same bits as in a stack.

    Parameters
    ----------
    threads : int
        CPU threads. Results may depend on it.
    """
    os.environ["MKL_CBWR"] = "AUTO,STRICT"
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.use_deterministic_algorithms(True)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_num_threads(threads)
