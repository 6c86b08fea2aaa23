"""The little statistics that tables and claims need: spreads, and 95% intervals by Student's t, without p-values."""

import math
import statistics


def quantile(freedom):
    """The two-sided 95% point of Student's t; `freedom`, its degrees of freedom, need not be whole."""
    from scipy import stats  # here, for it takes a second to import

    return float(stats.t.ppf(0.975, freedom))


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
