"""Each statistic against its formula written out, and against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from amoc.reporting.judgement.statistics import (
    blocked_deviation,
    compare,
    effect_size,
    half_width,
    holm,
    least_difference,
    least_effect_size,
    least_wilcoxon_p,
    paired_t_test,
    wilcoxon,
    wilson,
)

AMOC = [79.1, 78.6, 79.4, 79.0, 78.8]
ACL = [77.2, 76.9, 77.0, 77.5, 76.8]


def test_paired_t_is_the_formula_and_p_is_the_tail_of_student():
    d = np.subtract(AMOC, ACL)
    t = d.mean() / (math.sqrt(((d - d.mean()) ** 2).sum() / 4) / math.sqrt(5))
    assert paired_t_test(AMOC, ACL) == pytest.approx((t, 2 * stats.t.sf(abs(t), df=4)), rel=1e-9)


def test_paired_t_changes_sign_with_the_order_and_keeps_p():
    (t, p), (reverse, same) = paired_t_test(AMOC, ACL), paired_t_test(ACL, AMOC)
    assert (reverse, same) == pytest.approx((-t, p), rel=1e-12)


@pytest.mark.parametrize(("shift", "t", "p"), [(0.0, 0.0, 1.0), (2.0, math.inf, 1.0), (-2.0, -math.inf, 1.0)])
def test_differences_that_do_not_vary(shift, t, p):
    shifted = [value + shift for value in ACL]
    assert paired_t_test(shifted, ACL) == (t, p)
    assert effect_size(shifted, ACL) == t


def test_wilcoxon_counts_the_sign_patterns():
    # all five differences are positive: 2 of the 2^5 equally likely sign patterns are as extreme
    assert wilcoxon(AMOC, ACL) == pytest.approx(2 / 2**5)
    assert wilcoxon(ACL, ACL) == 1.0


def test_wilcoxon_leaves_equal_pairs_out():
    assert wilcoxon([1, 2, 3, 4, 9], [0, 0, 0, 0, 9]) == pytest.approx(2 / 2**4)


def test_effect_size_is_mean_over_standard_deviation():
    d = np.subtract(AMOC, ACL)
    assert effect_size(AMOC, ACL) == pytest.approx(d.mean() / d.std(ddof=1), rel=1e-12)


def test_blocks_leave_what_a_least_squares_fit_leaves():
    """Of a mean, a term for each row and one for each column."""
    rows = np.array([AMOC, ACL, [75.0, 76.1, 74.2, 75.5, 74.9]])
    design = [[1.0, i == 1, i == 2, *(j == k for k in range(1, 5))] for i in range(3) for j in range(5)]
    _, (squares,), _, _ = np.linalg.lstsq(np.array(design, dtype=float), rows.ravel(), rcond=None)
    deviation, freedom = blocked_deviation(rows.tolist())
    assert freedom == 15 - 7
    assert deviation == pytest.approx(math.sqrt(squares / freedom), rel=1e-9)
    same_in_each_row = [[1.0, 2.0, 4.0], [11.0, 12.0, 14.0]]
    assert blocked_deviation(same_in_each_row) == (pytest.approx(0, abs=1e-12), 2)


@pytest.mark.parametrize("rows", [[], [[1.0, 2.0]], [[1.0], [2.0]], [[1.0, 2.0], [1.0, 2.0, 3.0]]])
def test_blocks_need_two_rows_and_columns(rows):
    with pytest.raises(ValueError, match="blocks need two rows and columns"):
        blocked_deviation(rows)


def test_two_rows_in_blocks_are_a_paired_test():
    """At the limit the paired t-test gives exactly p."""
    limit = least_difference(*blocked_deviation([AMOC, ACL]), values=5, p=0.05)
    shift = limit - (np.mean(AMOC) - np.mean(ACL))
    assert paired_t_test([value + shift for value in AMOC], ACL)[1] == pytest.approx(0.05, rel=1e-9)


@pytest.mark.parametrize("level", [0.95, 0.9])
def test_the_interval_of_a_difference_is_scipys(level):
    interval = stats.ttest_rel(AMOC, ACL).confidence_interval(level)
    assert half_width(AMOC, ACL, level) == pytest.approx((interval.high - interval.low) / 2, rel=1e-9)


def test_differences_that_do_not_vary_have_no_interval():
    assert half_width([2.0, 3.0, 4.0], [1.0, 2.0, 3.0]) == math.inf


def test_compare_gathers_them():
    compared = compare(AMOC, ACL)
    assert (compared.t, compared.t_p) == paired_t_test(AMOC, ACL)
    assert (compared.wilcoxon_p, compared.effect_size) == (wilcoxon(AMOC, ACL), effect_size(AMOC, ACL))
    assert (compared.seeds, compared.half_width) == (5, half_width(AMOC, ACL))
    assert compared.difference == pytest.approx(np.mean(AMOC) - np.mean(ACL))
    assert compared.t == pytest.approx(compared.effect_size * math.sqrt(5))


@pytest.mark.parametrize("pair", [([1.0], [2.0]), ([], []), ([1.0, 2.0], [1.0])])
def test_too_few_pairs_are_an_error(pair):
    with pytest.raises(ValueError, match="at least two pairs"):
        compare(*pair)


@pytest.mark.parametrize("pairs", [2, 3, 5, 8])
def test_the_least_wilcoxon_p_is_that_of_differences_of_one_sign(pairs):
    ones = list(range(1, pairs + 1))
    assert least_wilcoxon_p(pairs) == pytest.approx(wilcoxon(ones, [0] * pairs))


@pytest.mark.parametrize("pairs", [2, 5, 10])
@pytest.mark.parametrize("p", [0.05, 0.05 / 12])
def test_at_the_least_effect_size_the_t_test_just_gives_p(pairs, p):
    pattern = np.arange(pairs, dtype=float)
    noise = (pattern - pattern.mean()) / pattern.std(ddof=1)  # mean 0, standard deviation 1
    assert paired_t_test(list(noise + least_effect_size(pairs, p)), [0.0] * pairs)[1] == pytest.approx(p)


def test_holm_by_hand():
    # ranks: 0.01 x 4, 0.02 x 3, 0.03 x 2 = 0.06 (not below 0.06), 0.8 x 1
    assert holm([0.03, 0.01, 0.8, 0.02]) == pytest.approx([0.06, 0.04, 0.8, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_never_lets_a_larger_p_overtake():
    p = np.random.default_rng(20).uniform(size=30).tolist()
    adjusted = holm(p)
    order = np.argsort(p)
    slow = [min(1.0, max((30 - j) * p[order[j]] for j in range(i + 1))) for i in range(30)]
    assert [adjusted[i] for i in order] == pytest.approx(slow)


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_holm_refuses_what_is_no_probability(p):
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        holm([0.5, p])


@pytest.mark.parametrize(("right", "images"), [(0, 100), (1, 100), (277, 360), (5000, 10000), (360, 360), (1, 1)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilson_is_scipys(right, images, level):
    interval = stats.binomtest(right, images).proportion_ci(level, method="wilson")
    assert wilson(right, images, level) == pytest.approx((100 * interval.low, 100 * interval.high), abs=1e-9)


def test_wilson_ends_solve_the_score_equation():
    z = stats.norm.ppf(0.975)
    for end in wilson(30, 100):
        assert abs(0.3 - end / 100) == pytest.approx(z * math.sqrt(end / 100 * (1 - end / 100) / 100), rel=1e-9)


@pytest.mark.parametrize(("right", "images", "level"), [(5, 4, 0.95), (-1, 4, 0.95), (0, 0, 0.95), (1, 2, 1.0)])
def test_wilson_refuses_impossible_counts(right, images, level):
    with pytest.raises(ValueError, match="no interval"):
        wilson(right, images, level)
