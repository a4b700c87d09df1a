"""Which settings are worth measuring, and which to use, from what was measured. Pure.

Not measured: pinned memory, persistent workers and channels_last, which the trainers always use where they
help; and settings without effect, as mixed precision and loading processes on a CPU (the classifier keeps its
decoded images in memory on every device).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mlops.systems.recipe import ClassificationRecipe, DetectionRecipe, JointRecipe
from mlops.terminal.tables import aligned

if TYPE_CHECKING:
    from mlops.systems.recipe import AnyRecipe

WORTH = 1.05  # of the recipe's speed: what is closer changes from one minute to the next


@dataclass(frozen=True, slots=True)
class MeasuredSpeed:
    """images_per_s: training images over the time of training, None where it failed or was not measured.

    memory_bytes: the most that was held: the GPU's on CUDA, else the process's and its loaders'.
    says: why there is no figure, "" where there is one.
    """

    variant: SettingsVariant
    images_per_s: float | None = None
    memory_bytes: int | None = None
    says: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """settings: what to give to `--set`, () where the recipe's own is the one to use.

    ratio: its speed over the recipe's; None where the recipe could not be measured.
    """

    settings: tuple[str, ...]
    ratio: float | None
    says: str


def winners(measured: Sequence[MeasuredSpeed]) -> list[SettingsVariant]:
    """The single changes that are worth it, the fastest first."""
    base = speed_of_recipe(measured)
    faster = [m for m in measured if base and (m.images_per_s or 0) >= WORTH * base]
    return [m.variant for m in sorted(faster, key=lambda m: -(m.images_per_s or 0)) if m.variant.changes]


def advise(measured: Sequence[MeasuredSpeed]) -> Advice:
    """The fastest of all, if it is worth it; of equals within 2 % the one that changes least."""
    done = [m for m in measured if m.images_per_s is not None]
    base = speed_of_recipe(measured)
    if not done:
        return Advice((), None, "Nothing could be measured.")
    top = max(m.images_per_s or 0 for m in done)
    near = [m for m in done if (m.images_per_s or 0) >= 0.98 * top]
    best = min(near, key=lambda m: (len(m.variant.changes), -(m.images_per_s or 0)))
    ratio = (best.images_per_s or 0) / base if base else None
    if ratio is None:
        return Advice(best.variant.settings, None, "The recipe's own setting could not be measured here.")
    if ratio < WORTH:
        return Advice((), 1.0, "The recipe's own setting is the one to use: nothing else is 5 % faster.")
    return Advice(best.variant.settings, ratio, f"{ratio:.2f} times the recipe's speed.")


def speed_of_recipe(measured: Sequence[MeasuredSpeed]) -> float | None:
    return next((m.images_per_s for m in measured if m.variant.kind == "recipe"), None)


def as_text(
    system: str, device: str, pictures: int, measured: Sequence[MeasuredSpeed], advice: Advice
) -> str:
    """The table, and the line to use."""
    base = speed_of_recipe(measured)
    rows = [("setting", "images/s", "to recipe", "memory", "")]
    for m in measured:
        if m.images_per_s is None:
            rows.append((_name(m), "-", "-", "-", m.says))
            continue
        ratio = f"{m.images_per_s / base:.2f}" if base else "-"
        rows.append((_name(m), f"{m.images_per_s:.1f}", ratio, f"{(m.memory_bytes or 0) / 1e9:.1f} GB", ""))
    lines = [f"{system} on {device}, {pictures} training images", ""]
    lines += [aligned(rows, right=[1, 2, 3], indent=2), "", advice.says]
    if advice.settings:
        lines.append("  " + " ".join(f"--set {setting}" for setting in advice.settings))
        if any(setting.startswith("batch=") for setting in advice.settings):
            lines.append(
                "  Another batch also changes what is learnt: compare the two before a long training."
            )
    return "\n".join(lines)


def _name(measured: MeasuredSpeed) -> str:
    return " ".join(measured.variant.settings) or "as the recipe says"


Kind = Literal["recipe", "batch", "workers", "amp", "cache", "compile", "together"]
_MOST_WORKERS = 16


@dataclass(frozen=True, slots=True)
class SettingsVariant:
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


RECIPE = SettingsVariant("recipe")


def variants_of(recipe: AnyRecipe, device: str, cores: int) -> tuple[SettingsVariant, ...]:
    """The recipe itself, then one change at a time, those that usually bring most first.

    device: as torch names it.
    """
    cuda = device.startswith("cuda")
    found = [RECIPE, _batch(recipe, 2 * recipe.batch)]
    if cuda and isinstance(recipe, DetectionRecipe | JointRecipe):
        counts = (2 * recipe.workers or 4, recipe.workers // 2)
        found += [
            SettingsVariant("workers", {"workers": n}) for n in counts if 0 < n <= min(cores, _MOST_WORKERS)
        ]
    if cuda:
        found.append(SettingsVariant("amp", {"amp": not recipe.amp}))
    if isinstance(recipe, ClassificationRecipe):
        found.append(SettingsVariant("compile", {"compile": not recipe.compile}))
    if isinstance(recipe, DetectionRecipe):
        found.append(SettingsVariant("cache", {"cache": "none" if recipe.cache == "ram" else "ram"}))
    found.append(_batch(recipe, 4 * recipe.batch))
    if recipe.batch > 1:
        found.append(_batch(recipe, recipe.batch // 2))
    return tuple(found)


def _batch(recipe: AnyRecipe, batch: int) -> SettingsVariant:
    """A classifier's gradients are added up over fewer batches, so that a step sees as many images."""
    changes: dict[str, object] = {"batch": batch}
    if isinstance(recipe, ClassificationRecipe):
        accumulate = max(1, round(recipe.accumulate * recipe.batch / batch))
        if accumulate != recipe.accumulate:
            changes["accumulate"] = accumulate
    return SettingsVariant("batch", changes)


def together(winners: Sequence[SettingsVariant]) -> SettingsVariant | None:
    """The best of each kind at once; None where there are not two of them."""
    first: dict[str, SettingsVariant] = {}
    for winner in winners:
        first.setdefault(winner.kind, winner)
    if len(first) < 2:
        return None
    return SettingsVariant("together", {k: v for each in first.values() for k, v in each.changes.items()})


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
