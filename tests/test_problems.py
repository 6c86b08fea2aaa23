"""The problems with known answers have them."""

import numpy as np
import pytest

from padam import problems, reference


def test_the_slopes_of_reddi_and_colleagues_add_up_to_a_positive_sum():
    slope = problems.reddi()
    cycle = [slope(np.zeros(2), t)[0] for t in range(1, 102)]
    assert sum(cycle) == 10
    assert cycle.count(1010) == 1
    assert slope(np.zeros(2), 102).tolist() == [1010, 1010]


@pytest.mark.parametrize(("name", "end"), [("adam", 1.0), ("amsgrad", -1.0)])
def test_on_them_adam_ends_at_the_worst_place_and_amsgrad_at_the_best(name, end):
    settings = {"beta1": 0.0, "beta2": 0.1, "eps": 0, "correction": "none", "project": lambda x: np.clip(x, -1, 1)}
    slope = problems.reddi(period=3, large=3.0, small=-1.0)  # Theorem 1 with C = 3
    path = reference.run(name, np.zeros(1), slope, steps=3000, lr=lambda t: 0.3 / np.sqrt(t), **settings)
    assert path[-1, 0] == pytest.approx(end, abs=0.01)


def test_wilsons_construction_is_the_papers():
    (X, y), (X_test, y_test) = problems.wilson(n=20, test=50)
    assert X.shape == (20, 103)
    assert X_test.shape == (50, 103)
    assert (X[:, 0] == y).all()
    assert (X[:, 1:3] == 1).all()
    assert (X[:, 3:].sum(1) == np.where(y > 0, 1, 5)).all()
    assert X[:, 3:].sum(0).max() == 1  # nobody shares them
    assert not X_test[:, 3:].any()
    assert (X_test[:, 0] == y_test).all()
    # Lemma 3.1: the sign of X'y fits all labels equally well, and calls every new example positive.
    solution = np.sign(X.T @ y)
    assert (X @ solution == 4 * y).all()
    assert (X_test @ solution > 0).all()


def test_the_smallest_solution_of_wilsons_construction_is_right():
    (X, y), (X_test, y_test) = problems.wilson(n=40)
    assert (np.sign(X_test @ np.linalg.pinv(X) @ y) == y_test).all()
