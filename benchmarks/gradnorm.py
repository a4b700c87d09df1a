"""What GradNorm costs a training step, and what measuring only every k-th step costs in balance.

Cost: the joint network's whole step (forward, losses, balancing, backward, SGD) under GradNorm, against the
same step with fixed weights and nothing measured, in blocks that take turns. To reach: at most 1.25 x. The
processors' time is shown too: it tells more on a machine that others use.
Balance: the same training from the same start with each k; its last weights, and how far the weighted
gradient norms are from their targets over the second half (L_grad over the sum of the norms; 0 is balanced),
beside k = 1 and fixed weights.
The pictures are made up: rectangles on noise, the class being whether there is more than one.

    python benchmarks/gradnorm.py [--model yolov5n] [--image-size 160] [--batch 8] [--rounds 5] [--steps 200]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from mlops.training.balance import Balancer, BalanceSettings, balancer_for
from mlops.training.balance.gradnorm import targets

TASKS, TARGET = ("detection", "classification"), 1.25
EVERY = (1, 2, 5, 10, 20)
BLOCK = 20  # steps: every k measures as often as it does over a whole training


def main() -> None:
    given = arguments()
    torch.set_num_threads(given.threads)
    print(f"{given.model}, {given.image_size} px, batch {given.batch}, {device_name(given.device)}")
    if given.rounds:
        cost(given)
    if given.steps:
        balance(given)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="yolov5n")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5, help="of the cost; 0: none")
    parser.add_argument("--steps", type=int, default=200, help="of each training for the balance; 0: none")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device.startswith("cuda") else f"{torch.get_num_threads()} threads"


# cost


def cost(given: argparse.Namespace) -> None:
    peers = {"fixed": BalanceSettings(method="fixed", every=0)}
    peers |= {f"k = {every}": BalanceSettings(every=every) for every in EVERY}
    trainings = {name: Training(given, settings) for name, settings in peers.items()}
    for training in trainings.values():
        training.steps(3)
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in trainings}
    for number in range(given.rounds):
        for name in list(trainings)[:: 1 if number % 2 else -1]:
            start = time.perf_counter(), time.process_time()
            trainings[name].steps(BLOCK)
            spent[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
    print(
        f"a step, median of {given.rounds} blocks of {BLOCK} steps each; ratios to the fixed weights' block"
    )
    for name, own in spent.items():
        step_ms = statistics.median(wall for wall, _ in own) / BLOCK * 1000
        pairs = list(zip(own, spent["fixed"], strict=True))
        wall, cpu = (statistics.median(a[at] / b[at] for a, b in pairs) for at in (0, 1))
        verdict = "" if name == "fixed" else f"   <= {TARGET}: {'yes' if wall <= TARGET else 'NO'}"
        print(f"  {name:<7}{step_ms:8.1f} ms   ratio {wall:.3f}   processors' time {cpu:.3f}{verdict}")


# balance


def balance(given: argparse.Namespace) -> None:
    print(f"balance after {given.steps} steps of the same training")
    fixed = BalanceSettings(method="fixed", every=1)
    rows = {"fixed": balance_of(given, fixed)}
    rows |= {f"k = {every}": balance_of(given, BalanceSettings(every=every)) for every in EVERY}
    weight_of_one, _ = rows["k = 1"]
    for name, (weight, away) in rows.items():
        off = abs(weight - weight_of_one)
        print(f"  {name:<7} w_detection {weight:.3f} ({off:.3f} from k = 1)   from the targets {away:.3f}")


def balance_of(given: argparse.Namespace, settings: BalanceSettings) -> tuple[float, float]:
    """The detection's last weight, and L_grad over the sum of the norms, of the second half's means."""
    training = Training(given, settings)
    training.steps(given.steps // 2)
    training.balancer.end_epoch()
    training.steps(given.steps - given.steps // 2)
    figures = training.balancer.end_epoch()
    norms = [figures[f"balance/grad_norm/{task}"] for task in TASKS]
    rates = [figures[f"balance/inverse_rate/{task}"] for task in TASKS]
    away = sum(abs(n - t) for n, t in zip(norms, targets(norms, rates, settings.alpha), strict=True))
    return training.balancer.weights["detection"], away / sum(norms)


# one training of the joint network


class Training:
    """As `mlops.training.joint` has it, without its files: the same network, losses and shared layer."""

    def __init__(self, given: argparse.Namespace, settings: BalanceSettings) -> None:
        from ultralytics.cfg import get_cfg

        from mlops.training.joint.joint_network import HeadShape, JointModel

        torch.manual_seed(0)
        shape = HeadShape(classes=2, width=256, dropout=0.0)
        self.network = (
            JointModel(f"{given.model}.yaml", head=shape, nc=1, verbose=False).to(given.device).train()
        )
        self.network.args = get_cfg()
        self.network.criterion = self.network.init_criterion()
        self.balancer: Balancer = balancer_for(settings, TASKS)
        self.shared = [self.network.last_shared()]
        self.network.criterion.weigh = lambda losses: self.balancer.total(losses, self.shared)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.01, momentum=0.937)
        self.batches = endless(given)

    def steps(self, count: int) -> None:
        for batch in itertools.islice(self.batches, count):
            total, _ = self.network.loss(batch)
            total.sum().backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
            if self.balancer.step():
                self.optimizer.step()
            self.optimizer.zero_grad()
        if self.shared[0].is_cuda:
            torch.cuda.synchronize()


def endless(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    made = [batch_of(given, number) for number in range(16)]
    return itertools.cycle(made)


def batch_of(given: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Pictures (batch, 3, size, size) with one to three bright rectangles, in Ultralytics' form."""
    generator = torch.Generator().manual_seed(seed)
    pictures = 0.3 * torch.rand(given.batch, 3, given.image_size, given.image_size, generator=generator)
    counts = torch.randint(1, 4, (given.batch,), generator=generator)
    at = torch.repeat_interleave(torch.arange(given.batch), counts)
    boxes = torch.rand(len(at), 4, generator=generator) * 0.3 + torch.tensor([0.35, 0.35, 0.1, 0.1])
    for picture, box in zip(at, boxes, strict=True):
        draw(pictures[picture], box * given.image_size)
    batch = {
        "img": pictures,
        "cls": torch.zeros(len(at), 1),
        "bboxes": boxes,
        "batch_idx": at.float(),
        "image_class": (counts > 1).long(),
    }
    return {name: value.to(given.device) for name, value in batch.items()}


def draw(picture: Tensor, box: Tensor) -> None:
    x, y, width, height = (int(value) for value in box)
    picture[:, y - height // 2 : y + height // 2, x - width // 2 : x + width // 2] += 0.6


if __name__ == "__main__":
    main()
