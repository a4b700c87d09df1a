"""Pictures with boxes: what is written on them can be read."""

from __future__ import annotations

import numpy as np
from PIL import Image

from mlops.evaluation.annotated_images import Marked, with_marks

SIDE = 400


def drawn(*marks: Marked) -> np.ndarray:
    return np.asarray(with_marks(Image.new("RGB", (SIDE, SIDE)), marks))


def test_a_name_is_not_written_over_another() -> None:
    first = Marked((100, 100, 200, 200), "elbow 0.90", annotated=False, bold=False)
    close = Marked((104, 106, 204, 206), "wrist 0.10", annotated=False, bold=False)
    apart = Marked((100, 300, 200, 380), "wrist 0.10", annotated=False, bold=False)
    names = slice(85, 100)
    assert (drawn(first, close)[names] == drawn(first)[names]).all()
    assert (drawn(first, apart)[285:300] != drawn(first)[285:300]).any()


def test_the_name_of_what_it_is_about_stands_before_all_others() -> None:
    others = [Marked((100, 96 + n, 200, 200), f"wrist {n}", annotated=False, bold=False) for n in range(8)]
    about = Marked((100, 100, 200, 200), "elbow 0.90", annotated=False, bold=True)
    assert (drawn(*others, about)[82:96] == drawn(about)[82:96]).all()
