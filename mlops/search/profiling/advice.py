"""From what was measured to the setting to use. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlops.search.profiling.variants import Variant

WORTH = 1.05  # of the recipe's speed: what is closer changes from one minute to the next


@dataclass(frozen=True, slots=True)
class Measured:
    """images_per_s: training images over the time of training, None where it failed or was not measured.

    memory_bytes: the most that was held: the GPU's on CUDA, else the process's and its loaders'.
    says: why there is no figure, "" where there is one.
    """

    variant: Variant
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


def winners(measured: Sequence[Measured]) -> list[Variant]:
    """The single changes that are worth it, the fastest first."""
    base = speed_of_recipe(measured)
    faster = [m for m in measured if base and (m.images_per_s or 0) >= WORTH * base]
    return [m.variant for m in sorted(faster, key=lambda m: -(m.images_per_s or 0)) if m.variant.changes]


def advise(measured: Sequence[Measured]) -> Advice:
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


def speed_of_recipe(measured: Sequence[Measured]) -> float | None:
    return next((m.images_per_s for m in measured if m.variant.kind == "recipe"), None)


def as_text(system: str, device: str, pictures: int, measured: Sequence[Measured], advice: Advice) -> str:
    """The table, and the line to use."""
    base = speed_of_recipe(measured)
    lines = [f"{system} on {device}, {pictures} training pictures", ""]
    width = max(len(_name(m)) for m in measured)
    lines.append(f"  {'setting':<{width}}  {'images/s':>9}  {'to recipe':>9}  {'memory':>8}")
    for m in measured:
        if m.images_per_s is None:
            lines.append(f"  {_name(m):<{width}}  {m.says}")
            continue
        ratio = f"{m.images_per_s / base:.2f}" if base else "-"
        memory = f"{(m.memory_bytes or 0) / 1e9:.1f} GB"
        lines.append(f"  {_name(m):<{width}}  {m.images_per_s:>9.1f}  {ratio:>9}  {memory:>8}")
    lines += ["", advice.says]
    if advice.settings:
        lines.append("  " + " ".join(f"--set {setting}" for setting in advice.settings))
        if any(setting.startswith("batch=") for setting in advice.settings):
            lines.append(
                "  Another batch also changes what is learnt: compare the two before a long training."
            )
    return "\n".join(lines)


def _name(measured: Measured) -> str:
    return " ".join(measured.variant.settings) or "as the recipe says"
