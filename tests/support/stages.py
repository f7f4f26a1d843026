"""Jobs of the tiny pipeline, run as their commands say."""

import shlex

from support.checkout import Checkout
from support.programs import Program

__all__ = ["INPUTS", "STAGES", "run_stage"]

MIXTURE = "weight_decay~all/sigma~all/width~4/depth~3/seed~0"

# An output of some kinds of jobs, one for each format that the pipeline writes.
STAGES = {
    "make_mixture": "results/data/blobs/seed~0.nc",
    "train_stack": f"results/mixture/train/{MIXTURE}.nc",
    "measure": f"results/mixture/measure/{MIXTURE}.nc",
    "collect": "results/mixture/measures.nc",
    "audit": "results/audit.csv",
}

# An input of each that has one of the pipeline's.
INPUTS = {
    "train_stack": STAGES["make_mixture"],
    "measure": STAGES["train_stack"],
    "collect": STAGES["measure"],
    "audit": STAGES["collect"],
}


def run_stage(checkout: Checkout, command: str) -> str:
    """Run the program of a job as its command would; what the terminal shows if it fails, else nothing."""
    words = shlex.split(command)
    at = words.index("python")
    # the built-in printf gives what a command line is too short for
    given = "\n".join(words[2 : at - 1]) + "\n" if at else ""
    program = Program(
        words[at + 1].rpartition("/")[2].removesuffix(".py"),
        words[at + 2 :],
        checkout.folder / "said",
        folder=checkout.folder,
        given=given,
    )
    return program.said() if program.wait() else ""
