"""Time everything, and write docs/bench.md and the table of the README; or, quick, print it."""

import argparse
from pathlib import Path
from typing import Any

from bench import classifiers, growth, machine, plane, rules
from bench.page import between, table
from bench.problems import blobs, configured, grid
from bench.runs import Budget

PROJECT = Path(__file__).parents[1]

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
    "cells": [1, 2],
    "points": [50, 100],
    "linear_points": [100, 200],
    "widths": [5, 10],
    "depths": [2, 3],
}


def main(quick: bool, results: Path) -> None:
    if quick:
        desk = blobs(
            configured("mixture").method, points=40, dimension=6, depth=3, cells=2, decay=(0.01, 0.1)
        )
        budget, sizes, widths = Budget(3_000, 2), QUICK_GROWTH, [8]
    else:
        counts = {"weight_decay": 4, "sigma": 3}
        axes = {axis: plane.lattice(grid("mixture")[axis], count) for axis, count in counts.items()}
        desk = configured("mixture", **axes)
        budget, sizes, widths = Budget(40_000, 60), GROWTH, [64, 128]
    threads = sorted({1, machine.cores()})
    rates = {count: machine.alone(machine.product_rates, count) for count in threads}
    best = {count: max(of_libraries.values()) for count, of_libraries in rates.items()}
    rows = [
        {"threads": count, **{f"{library}, GFLOP/s": rate / 1e9 for library, rate in of_libraries.items()}}
        for count, of_libraries in rates.items()
    ]
    found = plane.compared(desk, budget)
    sections = [
        f"# Times\n\nWritten by `make bench`, all in one run, on one machine:\n{machine.name()}\n"
        f"Float64 products of 512 x 512 matrices (GEMM; shares below are of the faster library):\n\n{table(rows)}\n",
        plane.section(found, best),
        growth.section(desk.method, best[1], **sizes),
        classifiers.section(widths),
        rules.section(results),
    ]
    page = "\n".join(text for text in sections if text)
    if quick:
        print(page)
        return
    (PROJECT / "docs/bench.md").write_text(page, encoding="utf-8")
    between(PROJECT / "README.md", "bench", f"{plane.headline(found)}\n\n{plane.short(found)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, seconds; prints and writes nothing"
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="FOLDER",
        help="of a finished run, for its times (default: results)",
    )
    main(**vars(parser.parse_args()))
