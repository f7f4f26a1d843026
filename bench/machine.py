"""The machine: its description, its rate of matrix products, and fair timing of a function."""

import os
import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_info, threadpool_limits

from nrc.text import counted

__all__ = ["alone", "clock", "cores", "name", "product_rates", "seconds_of", "use_threads"]


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def name() -> str:
    """Processor, cores and versions, in two lines."""
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
        f"{processor}{model}{wide}, {counted(cores(), 'core')}, {sys.platform}, load before the run "
        f"{os.getloadavg()[0]:.1f};\nPython {platform.python_version()}, "
        + ", ".join(f"{name} {module.__version__}" for name, module in versions.items())
        + f", {', '.join(sorted(libraries))}."
    )


def use_threads(count: int) -> None:
    """Set the number of threads of torch and numpy."""
    torch.set_num_threads(count)
    threadpool_limits(count)


def alone(function: Callable, *arguments: Any) -> Any:
    """Call a function in a new process, so that programs do not share threads, modes or memory.

    The process is a fork of a server that has imported all modules and computed nothing.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["bench.classifiers", "bench.scaling", "bench.plane"])
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(function, *arguments).result()


def clock() -> NDArray[np.float64]:
    """Processor time of this process, which does not count other processes, and elapsed time, in seconds."""
    return np.array([time.process_time(), time.perf_counter()])


def seconds_of(function: Callable[[], Any], threads: int = 1) -> float:
    """Seconds per call: the best of five batches, each of one call or of about 20 ms of calls.

    They are processor time with one thread, and elapsed time with more.
    """

    def seconds(calls: int) -> float:
        begin = clock()
        for _ in range(calls):
            function()
        return (clock() - begin)[int(threads > 1)] / calls

    seconds(1)
    calls = max(1, round(0.02 / seconds(1)))
    return min(seconds(calls) for _ in range(5))


def product_rates(threads: int, size: int = 512) -> dict[str, float]:
    """Operations per second of float64 products of size x size matrices, with torch and with numpy."""
    use_threads(threads)
    a = np.random.default_rng(0).standard_normal((size, size))
    b = torch.from_numpy(a)
    return {
        "torch": 2 * size**3 / seconds_of(lambda: b @ b, threads),
        "numpy": 2 * size**3 / seconds_of(lambda: a @ a, threads),
    }
