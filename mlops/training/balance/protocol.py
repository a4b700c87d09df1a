"""What a training step asks of whatever balances its losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor
    from torch.amp import GradScaler


class Balancer(Protocol):
    """Weighs the losses of `tasks`, in that order, anew at every step."""

    tasks: tuple[str, ...]

    @property
    def weights(self) -> Mapping[str, float]:
        """The weights that the next `total` applies. Finite and above 0, always."""
        ...

    def total(
        self, losses: Mapping[str, Tensor], shared: Sequence[Tensor], scaler: GradScaler | None = None
    ) -> Tensor:
        """The weighted sum of one micro-batch's losses, a float32 scalar with its graph, to go backward from.

        losses: a scalar for each of `tasks`, unscaled and unweighted; means over pictures, so that a smaller
            last batch weighs no less.
        shared: parameters of the last shared layer, on which gradient norms are measured; for gradient
            surgery all shared parameters, which it needs to be exact. Looked at only where a method measures.
        scaler: the loss scaler under AMP, where there is one: the caller scales the total with it, and the
            gradients measured here are scaled and unscaled with it too.

        Raises ValueError where the losses' names are not the tasks.
        """
        ...

    def step(self) -> bool:
        """Once an optimizer step, after its last backward and before the optimizer's own step, on every rank.

        Learns new weights from what the window's micro-batches showed, averaged over them and over ranks.
        False: a loss of the window was NaN or infinite, on any rank; throw the gradients away and make
        neither the optimizer's nor the scaler's step. The weights are then kept.
        Raises Diverged after `BalanceSettings.patience` such steps in a row.
        """
        ...

    def end_epoch(self) -> dict[str, float]:
        """The figures since the last call, and a fresh start for the next ones. For every task:

        `train/<task>_loss`           mean of the loss, unweighted
        `balance/weight/<task>`       mean of the weight applied
        `balance/share/<task>`        its part of the weighted sum; the shares add up to 1
        `balance/inverse_rate/<task>` mean of the relative inverse training rate r_i, 1 for tasks at one pace
        `balance/grad_norm/<task>`    mean of the weighted gradient's norm G_i on the shared layer

        The last two are left out where nothing was measured. All are over the steps of all ranks.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed training needs, in plain values and tensors. Taken between epochs."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict`. Raises ValueError for the state of another method or other tasks."""
        ...
