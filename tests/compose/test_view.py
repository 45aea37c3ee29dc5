"""Images are turned so that the patient's right is on the left and the front, or the head, is up."""

from __future__ import annotations

import numpy as np
import pytest

from tests.compose.scene import ORIENTATIONS, make_grid
from wetread.compose.view import choose_view

X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def _minus(direction):
    return tuple(-value for value in direction)


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_axial_images_show_the_right_side_on_the_left(name: str) -> None:
    grid = make_grid(ORIENTATIONS[name], shape=(3, 6, 8))
    view = choose_view(grid.directions[1], grid.directions[2])
    left, right, top, bottom = view.letters
    assert (left[0], right[0], top[0], bottom[0]) == ("R", "L", "A", "P")
    index = np.stack(np.meshgrid([1], range(6), range(8), indexing="ij"), axis=-1)[0]
    turned = view.turn(grid.to_lps_mm(index))
    assert turned[0, -1, 0] > turned[0, 0, 0]
    assert turned[-1, 0, 1] > turned[0, 0, 1]


@pytest.mark.parametrize(
    ("down", "right", "letters"),
    [
        (Z, X, ("R", "L", "H", "F")),
        (_minus(Z), _minus(X), ("R", "L", "H", "F")),
        (Z, Y, ("A", "P", "H", "F")),
        (Y, Z, ("A", "P", "H", "F")),
        (X, Y, ("R", "L", "A", "P")),
    ],
)
def test_other_planes_are_turned_as_usual(down, right, letters) -> None:
    assert choose_view(down, right).letters == letters


def test_oblique_planes_have_two_letters() -> None:
    grid = make_grid(ORIENTATIONS["tilted gantry"])
    assert choose_view(grid.directions[1], grid.directions[2]).letters[2:] == ("AH", "PF")


def test_points_turn_with_the_image() -> None:
    image = np.zeros((5, 7))
    image[1, 4] = 1
    for down, right in (
        (Y, X),
        (_minus(Y), X),
        (X, Y),
        (_minus(X), Y),
        (_minus(Y), _minus(X)),
        (X, _minus(Y)),
    ):
        view = choose_view(down, right)
        (row, column) = np.argwhere(view.turn(image))[0]
        assert view.turn_points(np.array([[4.5, 1.5]]), (5, 7)).tolist() == [[column + 0.5, row + 0.5]]
