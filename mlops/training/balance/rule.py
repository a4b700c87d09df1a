"""What the methods have in common, and what each one has to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Shown:
    """What one optimizer step showed, or one micro-batch where a rule is instant; the same on every rank.

    losses: unweighted, finite, one a task.
    inverse_rates: r_i; None while the initial losses are not known, or where all losses are zero.
    gradients: shape (tasks, numbers in the shared parameters), unweighted and finite; None where this step
        was not measured.
    """

    losses: Sequence[float]
    inverse_rates: Sequence[float] | None
    gradients: Tensor | None


class Rule(Protocol):
    """From what was shown to the next weights. Holds them, and whatever it learns them with."""

    instant: bool  # learns from a micro-batch before its total is formed, not after the window

    @property
    def weights(self) -> Sequence[float]: ...

    def learn(self, shown: Shown) -> None: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...
