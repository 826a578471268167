"""Is a difference real: tests over seeds, and the interval of an accuracy on so many images.

scipy takes most of a second to import, so only the functions that need it do so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev


@dataclass(frozen=True)
class PairedComparison:
    """Two methods over the same seeds; the difference is first minus second."""

    seeds: int
    difference: float  # mean over the seeds, in the unit of the inputs
    half_width: float  # of the interval around it, by the t-test
    t: float
    t_p: float  # two-sided
    wilcoxon_p: float  # two-sided
    effect_size: float  # Cohen's d_z


def compare(first: Sequence[float], second: Sequence[float]) -> PairedComparison:
    """Paired t-test (journal, Figure 3), Wilcoxon signed-rank test and effect size of one measure over seeds.

    Args:
        first, second: the measure of each method; entry i of both belongs to the same seed.

    Raises:
        ValueError: fewer than two pairs, or lists of different length.
    """
    differences = _differences(first, second)
    t, t_p = paired_t_test(first, second)
    return PairedComparison(
        seeds=len(differences),
        difference=fmean(differences),
        half_width=half_width(first, second),
        t=t,
        t_p=t_p,
        wilcoxon_p=wilcoxon(first, second),
        effect_size=effect_size(first, second),
    )


def paired_t_test(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """t = mean(d) / (std(d) / sqrt(n)) of the differences d, and its two-sided p-value with n - 1 degrees of freedom.

    Differences that do not vary tell nothing of their spread (with few seeds it happens that accuracies, which are
    discrete, differ alike): t is then infinite, or 0 if all are zero, and p is 1, because nothing is shown.
    """
    differences = _differences(first, second)
    if _constant(differences):
        return (math.copysign(math.inf, differences[0]) if differences[0] else 0.0), 1.0
    from scipy.stats import ttest_rel

    result = ttest_rel(first, second)
    return float(result.statistic), float(result.pvalue)


def half_width(first: Sequence[float], second: Sequence[float], level: float = 0.95) -> float:
    """Of the interval around the mean difference in which the paired t-test rejects nothing: t std(d) / sqrt(n).

    Of differences that do not vary it is infinite, because nothing is known of their spread.
    """
    differences = _differences(first, second)
    pairs = len(differences)
    return math.inf if _constant(differences) else stdev(differences) * least_effect_size(pairs, 1 - level)


def wilcoxon(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p-value of the signed-rank test; pairs that are equal say nothing and are left out, 1 if all are."""
    if not any(_differences(first, second)):
        return 1.0
    from scipy.stats import wilcoxon as signed_rank

    return float(signed_rank(first, second).pvalue)


def effect_size(first: Sequence[float], second: Sequence[float]) -> float:
    """Cohen's d_z = mean(d) / std(d) of the differences d; infinite if they do not vary, but 0 if all are zero."""
    differences = _differences(first, second)
    if _constant(differences):
        return math.copysign(math.inf, differences[0]) if differences[0] else 0.0
    return fmean(differences) / stdev(differences)


def least_wilcoxon_p(pairs: int) -> float:
    """The least that the two-sided signed-rank test can give: all differences of one sign, one of 2^n patterns each."""
    return 2 / 2**pairs


def least_effect_size(pairs: int, p: float) -> float:
    """Cohen's d_z from which on a paired t-test of n pairs gives less than p: t(1 - p / 2; n - 1) / sqrt(n)."""
    from scipy.stats import t as student

    return float(student.ppf(1 - p / 2, pairs - 1)) / math.sqrt(pairs)


def blocked_deviation(rows: Sequence[Sequence[float]]) -> tuple[float, int]:
    """What varies once what a row does to all of its values, and a column to all of its, is taken away.

    The residual standard deviation of a design in randomised blocks, of r rows and c columns, and its (r - 1)(c - 1)
    degrees of freedom. Means of rows differ with the standard error deviation * sqrt(2 / c).

    Args:
        rows: at least two, each with the same columns, at least two: ways to do something, each on the same seeds.

    Raises:
        ValueError: fewer rows or columns than that, or rows of different length.
    """
    count, width = len(rows), len(rows[0]) if rows else 0
    if count < 2 or width < 2 or any(len(row) != width for row in rows):
        raise ValueError(f"blocks need two rows and columns at least, not rows of {[len(row) for row in rows]}")
    across, down = [fmean(row) for row in rows], [fmean(column) for column in zip(*rows, strict=True)]
    whole, freedom = fmean(across), (count - 1) * (width - 1)
    left = (
        value - mean - of_column + whole
        for row, mean in zip(rows, across, strict=True)
        for value, of_column in zip(row, down, strict=True)
    )
    return math.sqrt(sum(one * one for one in left) / freedom), freedom


def least_difference(deviation: float, freedom: int, values: int, p: float) -> float:
    """The difference of two means of so many values from which on Student's t-test gives less than p, two-sided.

    t(1 - p / 2; freedom) * deviation * sqrt(2 / values), in the unit of the deviation.
    """
    from scipy.stats import t as student

    return float(student.ppf(1 - p / 2, freedom)) * deviation * math.sqrt(2 / values)


@dataclass(frozen=True)
class Spread:
    """How far apart seeds put a number: a standard deviation, and the degrees of freedom of its estimate.

    of: whose seeds; numbers that share an estimate share its freedom.
    """

    of: str
    deviation: float
    freedom: int


def limit_of_sum(terms: Iterable[Spread], p: float) -> float:
    """By how much a sum of independent numbers has to move until seeds alone would do it in less than p, two-sided.

    t(1 - p / 2; f) * sqrt(sum of v), v the variance of the numbers that share an estimate, and f by Welch and
    Satterthwaite: (sum of v)^2 / sum of (v^2 / freedom). In the unit of the deviations.
    """
    from scipy.stats import t as student

    variances: dict[tuple[str, int], float] = {}
    for term in terms:
        estimate = (term.of, term.freedom)
        variances[estimate] = variances.get(estimate, 0.0) + term.deviation**2
    whole = sum(variances.values())
    if whole == 0.0:
        return 0.0
    freedom = whole**2 / sum(own**2 / free for (_, free), own in variances.items())
    return float(student.ppf(1 - p / 2, freedom)) * math.sqrt(whole)


def limit_of_range(spread: Spread, count: int, p: float) -> float:
    """Which range of so many numbers, of runs that differ in their seeds alone, is exceeded with probability p (Tukey).

    q(1 - p; count, freedom) * deviation, q the quantile of the studentised range.
    """
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(1 - p, count, spread.freedom)) * spread.deviation


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of m p-values, in the order given.

    The adjusted p of rank i, counted from 0, is the maximum over j <= i of (m - j) p_(j), at most 1.

    Raises:
        ValueError: a p-value outside [0, 1].
    """
    if any(not 0 <= p <= 1 for p in p_values):
        raise ValueError(f"p-values lie in [0, 1], not {list(p_values)}")
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))  # never below a smaller p's
        adjusted[index] = largest
    return adjusted


def wilson(right: int, images: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of an accuracy.

    Args:
        right: images classified right, 0 <= right <= images.
        images: how many were asked, at least 1.
        level: confidence in (0, 1).

    Returns:
        Lower and upper end in percent.

    Raises:
        ValueError: numbers outside these ranges.
    """
    if not (0 <= right <= images and images >= 1 and 0 < level < 1):
        raise ValueError(f"{right} right of {images} images at level {level} has no interval")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, shrink = right / images, 1 + z * z / images
    centre = (share + z * z / (2 * images)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / images + z * z / (4 * images * images))
    # with none or all right the exact end is 0 or 100: keep it so, whatever the rounding
    return (0.0 if right == 0 else 100 * (centre - half), 100.0 if right == images else 100 * (centre + half))


def _differences(first: Sequence[float], second: Sequence[float]) -> list[float]:
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(f"a paired test needs at least two pairs, not {len(first)} and {len(second)} values")
    return [a - b for a, b in zip(first, second, strict=True)]


def _constant(differences: Sequence[float]) -> bool:
    """Equal up to the rounding of a subtraction, where a standard deviation would be noise."""
    scale = max(1.0, max(map(abs, differences)))
    return max(differences) - min(differences) <= 1e-12 * scale
