"""The little statistics that tables and claims need: spreads, and 95% intervals by Student's t, without p-values."""

import math
import statistics

# Two-sided 95% points of Student's t for 1, 2, 3, ... degrees of freedom.
T95 = (
    12.706,
    4.303,
    3.182,
    2.776,
    2.571,
    2.447,
    2.365,
    2.306,
    2.262,
    2.228,
    2.201,
    2.179,
    2.160,
    2.145,
    2.131,
    2.120,
    2.110,
    2.101,
    2.093,
    2.086,
    2.080,
    2.074,
    2.069,
    2.064,
    2.060,
    2.056,
    2.052,
    2.048,
    2.045,
    2.042,
)


def quantile(freedom):
    """The two-sided 95% point of Student's t; between two in the table its logarithm is nearly linear in 1 / freedom.

    Less than one degree of freedom counts as 1, more than 30 as 30.
    """
    freedom = min(max(freedom, 1), len(T95))
    below = min(int(freedom), len(T95) - 1)
    share = (1 / below - 1 / freedom) / (1 / below - 1 / (below + 1))
    return T95[below - 1] * (T95[below] / T95[below - 1]) ** share


def spread(values):
    """Standard deviation of a sample, n - 1 in the denominator; None for fewer than two values."""
    return statistics.stdev(values) if len(values) > 1 else None


def interval(differences):
    """(mean, half the width of its 95% interval) of differences paired by seed; the half is None for a single one."""
    mean, sd = statistics.fmean(differences), spread(differences)
    return mean, None if sd is None else quantile(len(differences) - 1) * sd / math.sqrt(len(differences))


def welch(one, other):
    """(difference of two means, half the width of its 95% interval), where their spreads may differ.

    Args:
        one, other: (mean, standard deviation, runs), at least two runs each.
    """
    (mean, sd, n), (base, base_sd, base_n) = one, other
    a, b = sd**2 / n, base_sd**2 / base_n
    freedom = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (base_n - 1)) if a + b else 1
    return mean - base, quantile(freedom) * math.sqrt(a + b)


def pooled(spreads):
    """(standard deviation, degrees of freedom) behind several samples: [(standard deviation, runs), ...].

    Each is weighted by runs - 1; None where no sample has two runs.
    """
    known = [(sd, runs - 1) for sd, runs in spreads if runs > 1]
    freedom = sum(weight for _, weight in known)
    return (math.sqrt(sum(sd**2 * weight for sd, weight in known) / freedom), freedom) if known else None
