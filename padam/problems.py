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
