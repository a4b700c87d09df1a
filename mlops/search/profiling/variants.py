"""Which settings are worth measuring for a recipe on a device. Pure.

Not among them: pinned memory, persistent workers and channels_last, which the trainers always use where they
help; and what does nothing there, as mixed precision and loading processes on a CPU (the classifier keeps its
decoded pictures in memory on every device).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mlops.systems.recipe import ClassificationRecipe, DetectionRecipe, JointRecipe

if TYPE_CHECKING:
    from mlops.systems.recipe import AnyRecipe

Kind = Literal["recipe", "batch", "workers", "amp", "cache", "compile", "together"]
_MOST_WORKERS = 16


@dataclass(frozen=True, slots=True)
class Variant:
    """changes: what differs from the recipe, in the recipe's names."""

    kind: Kind
    changes: Mapping[str, object] = field(default_factory=dict)

    @property
    def settings(self) -> tuple[str, ...]:
        """As `--set` takes them.

        >>> Variant("compile", {"compile": True}).settings
        ('compile=true',)
        """
        return tuple(f"{name}={_text(value)}" for name, value in self.changes.items())


RECIPE = Variant("recipe")


def variants_of(recipe: AnyRecipe, device: str, cores: int) -> tuple[Variant, ...]:
    """The recipe itself, then one change at a time, those that usually bring most first.

    device: as torch names it.
    """
    cuda = device.startswith("cuda")
    found = [RECIPE, _batch(recipe, 2 * recipe.batch)]
    if cuda and isinstance(recipe, DetectionRecipe | JointRecipe):
        counts = (2 * recipe.workers or 4, recipe.workers // 2)
        found += [Variant("workers", {"workers": n}) for n in counts if 0 < n <= min(cores, _MOST_WORKERS)]
    if cuda:
        found.append(Variant("amp", {"amp": not recipe.amp}))
    if isinstance(recipe, ClassificationRecipe):
        found.append(Variant("compile", {"compile": not recipe.compile}))
    if isinstance(recipe, DetectionRecipe):
        found.append(Variant("cache", {"cache": "none" if recipe.cache == "ram" else "ram"}))
    found.append(_batch(recipe, 4 * recipe.batch))
    if recipe.batch > 1:
        found.append(_batch(recipe, recipe.batch // 2))
    return tuple(found)


def _batch(recipe: AnyRecipe, batch: int) -> Variant:
    """A classifier's gradients are added up over fewer batches, so that a step sees as many pictures."""
    changes: dict[str, object] = {"batch": batch}
    if isinstance(recipe, ClassificationRecipe):
        accumulate = max(1, round(recipe.accumulate * recipe.batch / batch))
        if accumulate != recipe.accumulate:
            changes["accumulate"] = accumulate
    return Variant("batch", changes)


def together(winners: Sequence[Variant]) -> Variant | None:
    """The best of each kind at once; None where there are not two of them."""
    first: dict[str, Variant] = {}
    for winner in winners:
        first.setdefault(winner.kind, winner)
    if len(first) < 2:
        return None
    return Variant("together", {k: v for each in first.values() for k, v in each.changes.items()})


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
