"""The audit: the inequalities of the paper, checked on measured numbers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import binom

from nrc.grid import AXES, notation

__all__ = ["STATEMENTS", "Statement", "audit"]

# Rounding may increase a quantity by this much without a violation.
ABSOLUTE, RELATIVE = 1e-12, 1e-9
# A statement that holds with probability 1 - delta is refuted by a number of violations that is exceeded by
# chance with at most this probability.
LEVEL = 1e-3
COLUMNS = (
    *("statement", "description", "checked", "void", "violations", "allowed"),
    *("smallest_ratio", "median_ratio", "largest_ratio", "largest_at"),
)


@dataclass(frozen=True)
class Statement:
    """An inequality quantity <= bound between two measures of the same cells.

    Attributes
    ----------
    name : str
        Number of the statement in the paper.
    description : str
        The inequality in words.
    quantity, bound : str
        Names of the measures. The statement is void where the bound is missing.
    source : {"each", "smallest", "inputs"}
        Whether it holds for each source, for the smallest bound over sources, or for the inputs alone.
    random : bool
        Whether it holds with probability 1 - delta for each draw of the data instead of always.
    observed : bool
        Whether it is an observation instead of a theorem: cases in which it does not hold are counted, and
        none is an error.

    Examples
    --------
    >>> bracket = Statement("eq. 7", "lower bound at most upper", "tcv_lower", "tcv_upper")
    >>> [side.shape for side in bracket.sides(cube)]
    [(2, 3, 1, 1, 2, 3), (2, 3, 1, 1, 2, 3)]
    """

    name: str
    description: str
    quantity: str
    bound: str
    source: str = "each"
    random: bool = False
    observed: bool = False

    def sides(self, measures: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
        """Quantity and bound, of one shape."""
        quantity, bound = measures[self.quantity], measures[self.bound]
        if self.source == "smallest":
            bound = bound.min("source")
        if self.source == "inputs":
            quantity = quantity.isel(source=0, drop=True)
        return xr.broadcast(quantity, bound)


STATEMENTS = (
    Statement(
        "Proposition 3.1", "rank of the gradient at the centroids at most their number", "rho", "rho_bound"
    ),
    Statement("Lemma 3.3, classes", "gap at most (M / 2) WCSS, known classes", "gap", "gap_bound"),
    Statement(
        "Lemma 3.3, best partition",
        "gap at most (M / 2) WCSS, best partition found",
        "gap_best",
        "gap_bound_best",
    ),
    Statement(
        "Lemma 3.3 along segments, classes",
        "gap at most the mean bound of second derivatives from centroids to points, known classes",
        "gap",
        "gap_bound_segments",
    ),
    Statement(
        "Lemma 3.3 along segments, best partition",
        "gap at most the mean bound of second derivatives from centroids to points, best partition found",
        "gap_best",
        "gap_bound_segments_best",
    ),
    Statement(
        "Theorem 3.4, measured",
        "distance to rank K at most (residual + gap) / lambda, smallest over sources and partitions",
        "distance",
        "bound_measured",
        source="smallest",
    ),
    Statement(
        "Theorem 3.4, projected",
        "distance to rank K at most the norm of W_l outside the space of the centroid gradient",
        "distance",
        "bound_projected",
    ),
    Statement(
        "Theorem 3.4, projected bound in order",
        "the projected bound at most the measured one",
        "bound_projected",
        "bound_measured",
    ),
    Statement(
        "Theorem 3.4, bound on tails",
        "tail beyond r at most its bound by r directions of centroid gradients",
        "relative_tail",
        "tail_bound",
    ),
    Statement(
        "Theorem 3.4, analytic",
        "distance to rank K at most (residual + (M / 2) WCSS) / lambda, smallest over sources and partitions",
        "distance",
        "bound_analytic",
        source="smallest",
    ),
    Statement(
        "Theorem 3.4 along segments",
        "distance to rank K at most (residual + bound along segments) / lambda, "
        "smallest over sources and partitions",
        "distance",
        "bound_segments",
        source="smallest",
    ),
    Statement(
        "Proposition 4.1",
        "WCSS of the blobs at most its bound, with probability 1 - delta",
        "wcss_class",
        "wcss_bound",
        source="inputs",
        random=True,
    ),
    Statement(
        "Proposition 4.1, quantile",
        "WCSS of isotropic blobs at most its exact quantile, with probability 1 - delta",
        "wcss_class",
        "wcss_quantile",
        source="inputs",
        random=True,
    ),
    Statement(
        "Theorem 5.3, trained",
        "distance of the products trained on data and on centroids at most its bound, penalty on the product",
        "shift",
        "shift_bound",
    ),
    Statement(
        "Theorem 5.3, closed form",
        "distance of the minimisers on data and on centroids at most its bound, penalty on the product",
        "shift_product",
        "shift_bound",
    ),
    Statement(
        "Theorem 5.3, by the WCSS",
        "the first form of the bound at most the second",
        "shift_bound",
        "shift_bound_tcv",
    ),
    Statement(
        "Theorem 5.4",
        "distance of the minimisers of any rank and of rank K at most its bound, penalty on the product",
        "restriction",
        "restriction_bound",
    ),
    Statement(
        "Merged neurons (a)",
        "tail beyond d at most the scatter of the rows in d groups of neurons",
        "relative_tail",
        "neuron_scatter",
    ),
    Statement(
        "Merged neurons (b)",
        "tail beyond d at most its bound by d groups of the neurons before the layer",
        "relative_tail",
        "neuron_bound",
    ),
    Statement(
        "Merged neurons (c), at most",
        "exact rank at most the smaller number of distinct neurons on two sides, up to rounding",
        "exact_rank",
        "neuron_rank",
        observed=True,
    ),
    Statement(
        "Merged neurons (c), at least",
        "exact rank at least the smaller number of distinct neurons on two sides: with the former, equality",
        "neuron_rank",
        "exact_rank",
        observed=True,
    ),
    Statement(
        "Merged neurons (e)",
        "relative gradient of the potential at the neurons at most its bound by residuals",
        "potential_gradient",
        "potential_gradient_bound",
    ),
    Statement(
        "Merged neurons (f)",
        "all groups of equal neurons at local maxima of the potential, as at local minima of the loss",
        "merged_groups",
        "groups_at_maxima",
        observed=True,
    ),
    Statement("eq. 7", "lower bound of the TCV at most the best partition found", "tcv_lower", "tcv_upper"),
)


def audit(measures: xr.Dataset, delta: float | None) -> pd.DataFrame:
    """Check every statement on every cell.

    Parameters
    ----------
    measures : Dataset
        Cube of an experiment.
    delta : float or None
        Random statements hold with probability 1 - delta; None for a cube without random statements.

    Returns
    -------
    DataFrame
        One row per statement whose measures are in the cube: the numbers that are checked, void and violated,
        the number of violations that are allowed (all of an observation), the smallest, median and largest
        ratio of quantity to bound, and the place of the largest. A random statement is counted once per draw
        of the data, which is once per seed.

    Examples
    --------
    >>> dims = ("weight_decay", "sigma", "width", "depth", "seed")
    >>> one = xr.Dataset(coords={dim: [1] for dim in dims})
    >>> one = one.assign(tcv_lower=(dims, [[[[[1.0]]]]]), tcv_upper=(dims, [[[[[4.0]]]]]))
    >>> audit(one, delta=None)[["statement", "checked", "violations", "largest_ratio"]]
      statement  checked  violations  largest_ratio
    0     eq. 7        1           0           0.25
    """
    return pd.DataFrame(
        [
            _check(statement, measures, delta)
            for statement in STATEMENTS
            if {statement.quantity, statement.bound} <= set(measures)
        ],
        columns=COLUMNS,
    )


def _check(statement: Statement, measures: xr.Dataset, delta: float | None) -> dict[str, object]:
    quantity, bound = statement.sides(measures)
    checked = quantity.notnull() & bound.notnull()
    # 0/0, as in cells without noise, is neither a violation nor a ratio
    ratio = (quantity / bound).where(checked & (np.maximum(quantity, bound) > ABSOLUTE))
    counted = {
        "checked": checked,
        "void": quantity.notnull() & bound.isnull(),
        "violations": quantity > bound * (1 + RELATIVE) + ABSOLUTE,
    }
    if statement.random:
        of_draw = [dim for dim in ratio.dims if dim != "seed"]
        counted = {name: mask.any(of_draw) for name, mask in counted.items()}
    numbers = {name: int(mask.sum()) for name, mask in counted.items()}
    known = bool(ratio.notnull().any())
    return {
        "statement": statement.name,
        "description": statement.description,
        **numbers,
        "allowed": _allowed(statement, numbers["checked"], delta),
        "smallest_ratio": float(ratio.min()),
        "median_ratio": float(ratio.median()),
        "largest_ratio": float(ratio.max()),
        "largest_at": _place(ratio) if known else "",
    }


def _allowed(statement: Statement, checked: int, delta: float | None) -> int:
    """The number of violations that are no error."""
    if statement.observed:
        return checked
    return int(binom.isf(LEVEL, checked, delta)) if statement.random else 0


def _place(ratio: xr.DataArray) -> str:
    """The place of the largest value, in the notation of paths."""
    at = ratio[ratio.argmax(...)]
    cell = "/".join(f"{axis}~{notation(at[axis].item())}" for axis in AXES)
    return f"{cell} {' '.join(f'{name} {at[name].item()}' for name in at.coords if name not in AXES)}".strip()
