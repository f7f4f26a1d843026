"""The machine: its name, its rate, and how to time a function on it fairly."""

import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch
from threadpoolctl import threadpool_info, threadpool_limits

__all__ = ["alone", "cores", "name", "product_rates", "seconds_of", "use_threads"]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def name() -> str:
    """Processor, cores and versions in two lines."""
    known = {}
    if (file := Path("/proc/cpuinfo")).is_file():
        pairs = (line.split(":", 1) for line in file.read_text(encoding="utf-8").splitlines() if ":" in line)
        known = {key.strip(): value.strip() for key, value in pairs}
    processor = known.get("model name") or platform.processor() or platform.machine()
    model = f" (family {known['cpu family']}, model {known['model']})" if "model" in known else ""
    wide = " with AVX-512" if "avx512f" in known.get("flags", "") else ""
    versions = {"torch": torch, "numpy": np, "scipy": scipy}
    libraries = {
        f"{library['internal_api']} {library['version']}"
        for library in threadpool_info()
        if library["user_api"] == "blas"
    }
    return (
        f"{processor}{model}{wide}, {cores()} cores, {platform.system()}.\nPython {platform.python_version()}, "
        + ", ".join(f"{name} {module.__version__}" for name, module in versions.items())
        + f", {', '.join(sorted(libraries))}."
    )


def use_threads(count: int) -> None:
    """Let torch and numpy use so many threads."""
    torch.set_num_threads(count)
    threadpool_limits(count)


def alone(function: Callable, *arguments: Any) -> Any:
    """Call a function in a fresh process: no program inherits another's threads, modes or memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def seconds_of(function: Callable[[], Any], least: float = 0.2) -> float:
    """Seconds of a call: the best of five batches of calls, each of a fifth of `least` seconds."""
    function()
    begin = time.perf_counter()
    function()
    calls = max(1, round(least / 5 / (time.perf_counter() - begin)))
    batches = []
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(calls):
            function()
        batches.append((time.perf_counter() - begin) / calls)
    return min(batches)


def product_rates(threads: int, size: int = 512) -> dict[str, float]:
    """Operations a second of float64 matrix products of size x size, by torch and by numpy."""
    use_threads(threads)
    a = np.random.default_rng(0).standard_normal((size, size))
    b = torch.from_numpy(a)
    return {
        "torch": 2 * size**3 / seconds_of(lambda: b @ b),
        "numpy": 2 * size**3 / seconds_of(lambda: a @ a),
    }
