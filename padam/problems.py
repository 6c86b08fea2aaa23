"""Small problems with known answers, for pictures and for tests: no data, no network."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Problem:
    """A function of two or more variables with its gradient.

    `f` maps (..., d) to (...), `gradient` maps (d,) to (d,); `start` is where paths begin, `minimum` where the
    lowest value is, `box` the part worth drawing as (left, right, bottom, top).
    """

    name: str
    f: callable
    gradient: callable
    start: np.ndarray
    minimum: np.ndarray
    box: tuple = (-1.0, 1.0, -1.0, 1.0)


def quadratic(curvatures=(1.0, 25.0), start=(-1.0, 0.8), angle=0.0):
    """f(x) = 1/2 sum of curvature_i * y_i^2, y being x turned by `angle` (radians; two dimensions).

    The condition number is the largest curvature over the smallest. With angle 0 the axes of the ellipses are
    the coordinates, which is where a rate per coordinate helps most; turned by 45 degrees it cannot tell them
    apart.
    """
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    hessian = turn.T @ np.diag(curvatures) @ turn
    return Problem(
        name=f"quadratic of condition number {max(curvatures) / min(curvatures):g}",
        f=lambda x: 0.5 * np.einsum("...i,ij,...j", x, hessian, x),
        gradient=lambda x: hessian @ x,
        start=np.array(start, dtype=float),
        minimum=np.zeros(len(curvatures)),
        box=(-1.2, 1.2, -1.0, 1.0),
    )


def reddi(period=101, large=1010.0, small=-10.0):
    """The slope (x, t) -> array of x's shape that sends Adam the wrong way: `large` at the first of every `period`
    steps, `small` at the others. x is to be kept in [-1, 1]; the best place is -1 as long as the sum is positive.

    Source: Reddi, Kale and Kumar (2018), Section 5; period 3, large C and small -1 are those of Theorem 1.
    """
    return lambda x, t: np.full_like(x, large if t % period == 1 else small, dtype=float)


def wilson(n=100, share=0.6, seed=0, test=1000):
    """Linear classification on which adaptive methods fit every example and learn nothing.

    Feature 1 is the label, 2 and 3 are always 1, and then come five that only this example has: one of them is 1 if
    the label is +1, all five if it is -1. Test examples have none of the training examples' own features.

    Args:
        n: training examples; there are 3 + 5 n features.
        share: of positive labels; the proof wants it above 1/2.
        seed: of their order.
        test: test examples.

    Returns ((X, y), (X_test, y_test)): float (n, 3 + 5 n) and labels -1 or 1.
    Source: Wilson et al. (2017), Section 3.3.
    """
    rng = np.random.default_rng(seed)
    y, y_test = (rng.permutation(np.where(np.arange(count) < share * count, 1.0, -1.0)) for count in (n, test))
    X, X_test = (np.zeros((len(labels), 3 + 5 * n)) for labels in (y, y_test))
    for features, labels in ((X, y), (X_test, y_test)):
        features[:, 0], features[:, 1:3] = labels, 1
    for i, label in enumerate(y):
        X[i, 3 + 5 * i : 3 + 5 * i + (1 if label > 0 else 5)] = 1
    return (X, y), (X_test, y_test)
