"""Weights that stay weights."""

from __future__ import annotations

from collections.abc import Sequence


def renormalised(weights: Sequence[float], floor: float) -> list[float]:
    """`weights` scaled to add up to their number, as the paper does after each update, none below `floor`.

    Where scaling leaves one below `floor` (or it came in so, even negative), it is put there and the others
    share what remains, in their own proportions. `floor` is below 1, so there is always something to share.
    """
    count = len(weights)
    low: set[int] = set()
    while True:
        rest = sum(weight for task, weight in enumerate(weights) if task not in low)
        scale = (count - floor * len(low)) / rest if rest > 0 else 0.0
        below = {task for task in range(count) if task not in low and weights[task] * scale < floor}
        if not below:
            return [floor if task in low else weight * scale for task, weight in enumerate(weights)]
        low |= below
        if len(low) == count:  # nothing above zero came in
            return [1.0] * count
