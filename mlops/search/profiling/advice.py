"""Settings to measure, and the settings to use according to the measurements. Pure.

Not measured: pinned memory, persistent workers and channels_last, which the trainers use wherever they help;
and settings without effect, such as mixed precision and loading processes on a CPU (the classifier keeps its
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

WORTH = 1.05  # of the recipe's speed: smaller differences are noise


@dataclass(frozen=True, slots=True)
class MeasuredSpeed:
    """images_per_s: training images per second of training, None if it failed or was not measured.

    memory_bytes: peak memory: of the GPU on CUDA, else of the process and its loaders.
    says: why it was not measured, or "".
    """

    variant: SettingsVariant
    images_per_s: float | None = None
    memory_bytes: int | None = None
    says: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """settings: values for `--set`, () if the recipe's settings are best.

    ratio: speed relative to the recipe's; None if the recipe could not be measured.
    """

    settings: tuple[str, ...]
    ratio: float | None
    says: str


def winners(measured: Sequence[MeasuredSpeed]) -> list[SettingsVariant]:
    """The single changes that are clearly faster, the fastest first."""
    base = speed_of_recipe(measured)
    faster = [m for m in measured if base and (m.images_per_s or 0) >= WORTH * base]
    return [m.variant for m in sorted(faster, key=lambda m: -(m.images_per_s or 0)) if m.variant.changes]


def advise(measured: Sequence[MeasuredSpeed]) -> Advice:
    """The fastest of all, if clearly faster; among those within 2 %, the one with the fewest changes."""
    done = [m for m in measured if m.images_per_s is not None]
    base = speed_of_recipe(measured)
    if not done:
        return Advice((), None, "No variant could be measured.")
    top = max(m.images_per_s or 0 for m in done)
    near = [m for m in done if (m.images_per_s or 0) >= 0.98 * top]
    best = min(near, key=lambda m: (len(m.variant.changes), -(m.images_per_s or 0)))
    ratio = (best.images_per_s or 0) / base if base else None
    if ratio is None:
        return Advice(best.variant.settings, None, "The recipe's settings could not be measured here.")
    if ratio < WORTH:
        return Advice((), 1.0, "Use the recipe's settings: no variant is 5 % faster.")
    return Advice(best.variant.settings, ratio, f"{ratio:.2f} times the recipe's speed.")


def speed_of_recipe(measured: Sequence[MeasuredSpeed]) -> float | None:
    return next((m.images_per_s for m in measured if m.variant.kind == "recipe"), None)


def as_text(
    system: str, device: str, pictures: int, measured: Sequence[MeasuredSpeed], advice: Advice
) -> str:
    """The table and the options to use."""
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
                "  Another batch size also changes the results; compare both before a long training."
            )
    return "\n".join(lines)


def _name(measured: MeasuredSpeed) -> str:
    return " ".join(measured.variant.settings) or "recipe"


Kind = Literal["recipe", "batch", "workers", "amp", "cache", "compile", "together"]
_MOST_WORKERS = 16


@dataclass(frozen=True, slots=True)
class SettingsVariant:
    """changes: values that differ from the recipe, by recipe key."""

    kind: Kind
    changes: Mapping[str, object] = field(default_factory=dict)

    @property
    def settings(self) -> tuple[str, ...]:
        """The changes as arguments of `--set`.

        >>> SettingsVariant("compile", {"compile": True}).settings
        ('compile=true',)
        """
        return tuple(f"{name}={_text(value)}" for name, value in self.changes.items())


RECIPE = SettingsVariant("recipe")


def variants_of(recipe: AnyRecipe, device: str, cores: int) -> tuple[SettingsVariant, ...]:
    """The recipe, then single changes, those with the largest usual effect first.

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
        found.append(SettingsVariant("compile", {"compile": recipe.compile is not True}))
    if isinstance(recipe, DetectionRecipe):
        found.append(SettingsVariant("cache", {"cache": "none" if recipe.cache == "ram" else "ram"}))
    found.append(_batch(recipe, 4 * recipe.batch))
    if recipe.batch > 1:
        found.append(_batch(recipe, recipe.batch // 2))
    return tuple(found)


def _batch(recipe: AnyRecipe, batch: int) -> SettingsVariant:
    """For a classifier, gradients are summed over fewer batches, so that a step uses as many images."""
    changes: dict[str, object] = {"batch": batch}
    if isinstance(recipe, ClassificationRecipe):
        accumulate = max(1, round(recipe.accumulate * recipe.batch / batch))
        if accumulate != recipe.accumulate:
            changes["accumulate"] = accumulate
    return SettingsVariant("batch", changes)


def together(winners: Sequence[SettingsVariant]) -> SettingsVariant | None:
    """The best change of each kind combined; None if there are fewer than two."""
    first: dict[str, SettingsVariant] = {}
    for winner in winners:
        first.setdefault(winner.kind, winner)
    if len(first) < 2:
        return None
    return SettingsVariant("together", {k: v for each in first.values() for k, v in each.changes.items()})


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
