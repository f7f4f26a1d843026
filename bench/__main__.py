"""Time everything, and write docs/bench.md and the sentence of the README; or, quick, print it."""

from pathlib import Path
from typing import Any

from bench import classifiers, growth, machine, plane, rules
from bench.page import between, filled, table
from bench.problems import PROJECT, Problem, blobs, configured, grid
from bench.runs import Budget

# how many values of an axis of the desk plane, first and last among them: for all programs, and for two
FEW = {"weight_decay": 4, "sigma": 3}
MANY = {"weight_decay": 10, "sigma": 10}
GROWTH = {
    "shapes": [(200, 20), (500, 50)],
    "cells": [1, 2, 4, 8, 16, 32, 64, 100],
    "points": [50, 100, 200, 400, 800, 1600, 3200],
    "linear_points": [1_000, 10_000, 100_000, 1_000_000],
    "widths": [10, 20, 40, 80, 160, 320],
    "depths": [2, 4, 8, 16, 32],
}
QUICK_GROWTH: dict[str, Any] = {
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
        budget, sizes, widths = Budget(2_000, 1), QUICK_GROWTH, [8]
    else:
        few, many = (desk_plane(counts) for counts in (FEW, MANY))
        budget, sizes, widths = Budget(40_000, 30), GROWTH, [64, 128]
    head, rates = machine_section()
    found = plane.compared(few, budget, plane.PROGRAMS)
    whole = plane.compared(many, budget, plane.BEST)
    sections = [
        head,
        plane.section(found, whole, rates),
        growth.section(few.method, rates[1], **sizes),
        classifiers.section(widths),
        rules.section(results),
    ]
    page = filled("\n\n".join(section.strip() for section in sections if section))
    if quick:
        print(page)
        return
    (PROJECT / "docs/bench.md").write_text(page, encoding="utf-8")
    between(PROJECT / "README.md", "bench", filled(plane.headline(whole)))


def desk_plane(counts: dict[str, int]) -> Problem:
    """Cells that cover the plane of Figure 1, so many on each axis."""
    axes = {axis: plane.lattice(grid("mixture")[axis], count) for axis, count in counts.items()}
    return configured("mixture", **axes)


def machine_section() -> tuple[str, dict[int, float]]:
    """The page's head, and operations a second of products by number of threads."""
    rates = {threads: machine.alone(machine.product_rates, threads) for threads in plane.THREADS}
    rows = [
        {"threads": threads, **{f"{library}, GFLOP/s": rate / 1e9 for library, rate in of_libraries.items()}}
        for threads, of_libraries in rates.items()
    ]
    head = f"""# Times

Written by `make bench`, all in one run, on one machine:
{machine.name()} Seconds of programs with one
thread are the processor's, which are all that pass on a machine with nothing else to do; with more threads
they are all that pass.

Float64 products of 512 x 512 matrices (GEMM; shares below are of the faster library):

{table(rows)}
"""
    return head, {threads: max(of_libraries.values()) for threads, of_libraries in rates.items()}


if __name__ == "__main__":
    parser = rules.of_a_run("bench", __doc__)
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, seconds; prints and writes nothing"
    )
    main(**vars(parser.parse_args()))
