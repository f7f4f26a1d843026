"""The jobs of the tiny pipeline, one of each kind, run as their commands say."""

import shlex

from support.checkout import Checkout
from support.programs import Program

__all__ = ["INPUTS", "STAGES", "run_stage"]

MIXTURE = "weight_decay~all/sigma~all/width~4/depth~3/seed~0"
IMAGES = "weight_decay~all/sigma~0/width~8/depth~3/seed~all"

# An output of each kind of job.
STAGES = {
    "make_mixture": "results/data/blobs/seed~0.nc",
    "fetch_mnist": "results/data/digits/test.nc",
    "make_mnist": "results/data/digits/seed~0.nc",
    "train_stack": f"results/mixture/train/{MIXTURE}.nc",
    "train_stack of classifiers": f"results/mnist/train/{IMAGES}.nc",
    "train_stack from another": f"results/mnist_stationary/train/{IMAGES}.nc",
    "measure": f"results/mixture/measure/{MIXTURE}.nc",
    "measure of classifiers": f"results/mnist/measure/{IMAGES}.nc",
    "collect": "results/mixture/measures.nc",
    "compare_centroids": "results/linear/shift.nc",
    "plot_figure1": "results/figures/figure1.pdf",
    "audit": "results/audit.csv",
    "judge_claims": "results/claims.nc",
    "summarise": "results/summary.html",
    "explorer": "results/explorer.html",
}

# An input of each that has one of the pipeline's.
INPUTS = {
    "make_mnist": STAGES["fetch_mnist"],
    "train_stack": STAGES["make_mixture"],
    "train_stack of classifiers": STAGES["make_mnist"],
    "train_stack from another": STAGES["train_stack of classifiers"],
    "measure": STAGES["train_stack"],
    "measure of classifiers": STAGES["train_stack of classifiers"],
    "collect": STAGES["measure"],
    "compare_centroids": "results/linear/measures.nc",
    "plot_figure1": STAGES["collect"],
    "audit": STAGES["collect"],
    "judge_claims": STAGES["collect"],
    "summarise": STAGES["collect"],
    "explorer": STAGES["collect"],
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
