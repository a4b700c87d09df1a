"""Two small tasks on one shared layer, of scales that differ as asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mlops.training.balance import Balancer, BalanceSettings, balancer_for

TASKS = ("box", "class")
Change = Callable[[int, dict[str, Tensor]], dict[str, Tensor]]


class TwoHeads(nn.Module):
    """A shared layer and a head a task; gives the two losses, means over the batch."""

    def __init__(self, scales: Sequence[float] = (1.0, 1.0), seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.shared = nn.Linear(6, 8)
        self.heads = nn.ModuleList(nn.Linear(8, 3) for _ in TASKS)
        self.scales = tuple(scales)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        features = torch.tanh(self.shared(pictures))
        wanted = pictures[:, :3], pictures[:, 3:].abs()
        return {
            task: (scale * (head(features) - truth)).square().mean()
            for task, scale, head, truth in zip(TASKS, self.scales, self.heads, wanted, strict=True)
        }


def batches(steps: int, size: int = 16) -> list[Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(size, 6, generator=generator) for _ in range(steps)]


def unchanged(step: int, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    return losses


def trained(
    settings: BalanceSettings,
    data: Sequence[Tensor],
    *,
    scales: Sequence[float] = (1.0, 1.0),
    network: TwoHeads | None = None,
    balancer: Balancer | None = None,
    micro_batches: int = 1,
    scaler: torch.amp.GradScaler | None = None,
    change: Change = unchanged,
) -> Balancer:
    """The balancer after one plain SGD step for each of `data`, split into `micro_batches`."""
    network = network or TwoHeads(scales)
    balancer = balancer or balancer_for(settings, TASKS)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    for number, batch in enumerate(data):
        for micro in batch.chunk(micro_batches):
            losses = change(number, network(micro))
            total = balancer.total(losses, list(network.shared.parameters()), scaler) / micro_batches
            (total if scaler is None else scaler.scale(total)).backward()
        if balancer.step():
            if scaler is None:
                optimizer.step()
            else:
                scaler.step(optimizer)
                scaler.update()
        optimizer.zero_grad()
    return balancer
