"""Which trainings are seeds of one configuration. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mlops.comparison.side import Configuration, Side
from mlops.errors import NotComparable


def grouped(sides: Sequence[Side], *, apart: bool = False) -> tuple[list[Configuration], list[str]]:
    """Sides of the same system, recipe and training data whose seeds differ as one, and notes on it.

    The first side's configuration comes first. apart: each by itself. Where all are seeds of one
    configuration they are taken apart too, as otherwise nothing would be left to compare.
    """
    if len(sides) < 2:
        raise NotComparable("name at least two to compare: versions, runs or studies")
    together = [_configuration(own) for own in _by_recipe(sides)]
    if apart or len(together) == len(sides):
        return [Configuration(side.name, (side,)) for side in sides], []
    if len(together) == 1:
        note = (
            f"All {len(sides)} are seeds of one configuration, so each is compared by itself: the "
            "differences are what a seed does."
        )
        return [Configuration(side.name, (side,)) for side in sides], [note]
    return together, [f"{each.name}: the mean of {each.seeds} seeds." for each in together if each.seeds > 1]


def _by_recipe(sides: Sequence[Side]) -> list[list[Side]]:
    """Lists of sides; trainings of the same seed, or of which nothing is recorded, stay apart."""
    lists: list[list[Side]] = []
    for side in sides:
        own = next(
            (
                each
                for each in lists
                if side.recipe
                and side.seed
                and each[0].configuration == side.configuration
                and side.seed not in {other.seed for other in each}
            ),
            None,
        )
        if own is None:
            lists.append([side])
        else:
            own.append(side)
    return lists


def _configuration(sides: Sequence[Side]) -> Configuration:
    first = sides[0].name
    return Configuration(first if len(sides) == 1 else f"{first} ({len(sides)} seeds)", tuple(sides))
