"""Run all timings, then write docs/bench.md and the sentence in the README.

With --quick the timings use small problems, take a minute, and are only printed.
"""

import argparse
from pathlib import Path
from typing import Any

from bench import classifiers, machine, plane, scaling, stages
from bench.problems import PROJECT, Problem, blobs, configured, grid
from bench.runs import Budget
from tools.markdown import between, filled, table

# number of values on each axis of the grid of Figure 1: to compare all programs, and to compare the best
FEW = {"weight_decay": 4, "sigma": 3}
MANY = {"weight_decay": 10, "sigma": 10}
SIZES = {
    "shapes": [(200, 20), (500, 50)],
    "cells": [1, 2, 4, 8, 16, 32, 64, 100],
    "points": [50, 100, 200, 400, 800, 1600, 3200],
    "linear_points": [1_000, 10_000, 100_000, 1_000_000],
    "widths": [10, 20, 40, 80, 160, 320],
    "depths": [2, 4, 8, 16, 32],
}
QUICK_SIZES: dict[str, Any] = {
    "shapes": [(40, 6)],
    "cells": [1, 2, 4],
    "points": [50, 100, 200],
    "linear_points": [100, 200, 400],
    "widths": [5, 10, 20],
    "depths": [2, 3, 4],
}


def main(quick: bool, results: Path) -> None:
    if quick:
        method = configured("mixture").method
        few = many = blobs(method, points=40, dimension=6, depth=3, cells=2, decay=(0.01, 0.1))
        budget, sizes, widths = Budget(2_000, 1), QUICK_SIZES, [8]
    else:
        few, many = (desk_plane(counts) for counts in (FEW, MANY))
        budget, sizes, widths = Budget(40_000, 30), SIZES, [64, 128]
    on_machine, rates = machine_section()
    all_programs = plane.compared(few, budget, plane.PROGRAMS)
    on_many = plane.compared(many, budget, plane.ON_MANY)
    sections = [
        f"# Times\n\n{plane.headline(on_many)}",
        on_machine,
        plane.section(all_programs, on_many, rates[1]),
        scaling.section(few.method, rates[1], **sizes),
        classifiers.section(widths),
        stages.section(results),
    ]
    page = filled("\n\n".join(section.strip() for section in sections if section))
    if quick:
        print(page)
        return
    (PROJECT / "docs/bench.md").write_text(page, encoding="utf-8")
    between(PROJECT / "README.md", "bench", filled(plane.headline(on_many)))


def desk_plane(counts: dict[str, int]) -> Problem:
    """Cells that cover the grid of Figure 1, with the given number of values on each axis."""
    axes = {axis: plane.lattice(grid("mixture")[axis], count) for axis, count in counts.items()}
    return configured("mixture", **axes)


def machine_section() -> tuple[str, dict[int, float]]:
    """The machine in words, and operations per second of matrix products, by number of threads."""
    rates = {threads: machine.alone(machine.product_rates, threads) for threads in plane.THREADS}
    rows = [
        {"threads": threads, **{f"{library}, GFLOP/s": rate / 1e9 for library, rate in by_library.items()}}
        for threads, by_library in rates.items()
    ]
    section = f"""## The machine

`make bench` wrote this page in a single run on a single machine: {machine.name()} Processor time
equals the elapsed time of one thread on an otherwise idle machine, and depends less on other processes.

Rate of products of 512 x 512 matrices in float64 (GEMM). The shares of GEMM below refer to the faster
library:

{table(rows)}
"""
    return section, {threads: max(by_library.values()) for threads, by_library in rates.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="FOLDER",
        help="folder of a finished run of the desk scale (default: results)",
    )
    parser.add_argument("--quick", action="store_true", help="time small problems, print, and write nothing")
    main(**vars(parser.parse_args()))
