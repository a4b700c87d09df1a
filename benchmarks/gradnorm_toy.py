"""The toy regression of the GradNorm paper (Chen et al., ICML 2018, section 4): equal weights beside
GradNorm.

Task i learns f_i(x) = sigma_i tanh((B + E_i) x) by its squared error; B and E_i are fixed random matrices
with elements of variance 10 and 3.5, so the tasks share B and differ by E_i and by scale. Four layers of ReLU
are shared, each task has an affine layer of its own. Judged by the task-normalised test loss: the sum over
tasks of the test loss over its value at the start.

The paper's sizes are 250 inputs, 100 outputs and 100 neurons a layer, sigma 1 and 100, alpha 0.12. It names
no optimizer and no scale of x: here Adam, and x scaled so that the argument of tanh has variance 1. Smaller
by default, 50 inputs, 20 outputs and 50 neurons, so that a processor gets far enough in a minute.

    python benchmarks/gradnorm_toy.py [--steps 1600] [--seeds 3] [--paper-sizes] [--out gradnorm-toy.png]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mlops.training.balance import BalanceSettings, balancer_for

SHARED_VARIANCE, OWN_VARIANCE = 10.0, 3.5
BATCH, RATE, PICTURES = 64, 2e-3, 10_000
EQUAL = BalanceSettings(method="fixed", every=5)
GRADNORM = BalanceSettings(method="gradnorm", alpha=0.12, floor=1e-6)
COLOURS = {"equal weights": "#b4530a", "GradNorm": "#1d4e89"}


@dataclass(frozen=True, slots=True)
class Sizes:
    inputs: int = 50
    outputs: int = 20
    width: int = 50
    sigmas: tuple[float, ...] = (1.0, 100.0)


PAPER = Sizes(250, 100, 100)


@dataclass(frozen=True, slots=True)
class Point:
    """losses: test loss over its start, by task. norms: weighted gradient norms since the point before."""

    step: int
    losses: tuple[float, ...]
    weights: tuple[float, ...]
    norms: tuple[float, ...]

    @property
    def normalised(self) -> float:
        return sum(self.losses)


class Network(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        widths = [sizes.inputs] + [sizes.width] * 4
        layers = [nn.Linear(*pair) for pair in itertools.pairwise(widths)]
        self.trunk = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))
        self.heads = nn.ModuleList(nn.Linear(sizes.width, sizes.outputs) for _ in sizes.sigmas)
        self.last_shared = layers[-1].weight

    def losses(self, x: Tensor, wanted: Sequence[Tensor]) -> list[Tensor]:
        features = self.trunk(x)
        return [(head(features) - y).square().mean() for head, y in zip(self.heads, wanted, strict=True)]


class Tasks:
    """The functions, for x of standard normal elements."""

    def __init__(self, sizes: Sizes) -> None:
        shape = sizes.outputs, sizes.inputs
        shared = torch.randn(shape) * SHARED_VARIANCE**0.5
        scale = (sizes.inputs * (SHARED_VARIANCE + OWN_VARIANCE)) ** -0.5
        own = (torch.randn(shape) * OWN_VARIANCE**0.5 for _ in sizes.sigmas)
        self._matrices = [(shared + matrix) * scale for matrix in own]
        self._sigmas = sizes.sigmas

    def __call__(self, x: Tensor) -> list[Tensor]:
        pairs = zip(self._sigmas, self._matrices, strict=True)
        return [sigma * torch.tanh(x @ matrix.T) for sigma, matrix in pairs]


def learned(settings: BalanceSettings, sizes: Sizes, *, steps: int, points: int, seed: int) -> list[Point]:
    """One training's course; the same data, start and batches for every settings."""
    torch.manual_seed(seed)
    tasks, network = Tasks(sizes), Network(sizes)
    x, test_x = torch.randn(PICTURES, sizes.inputs), torch.randn(1000, sizes.inputs)
    y, test_y = tasks(x), tasks(test_x)
    names = [f"sigma {sigma:g}" for sigma in sizes.sigmas]
    balancer = balancer_for(settings, names)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    start, course = tested(network, test_x, test_y), []
    for step in range(1, steps + 1):
        at = torch.randint(0, PICTURES, (BATCH,))
        losses = network.losses(x[at], [values[at] for values in y])
        balancer.total(dict(zip(names, losses, strict=True)), [network.last_shared]).backward()
        if balancer.step():
            optimizer.step()
        optimizer.zero_grad()
        if step % (steps // points) == 0:
            now, figures = tested(network, test_x, test_y), balancer.end_epoch()
            left = tuple(loss / first for loss, first in zip(now, start, strict=True))
            norms = tuple(figures[f"balance/grad_norm/{name}"] for name in names)
            course.append(Point(step, left, tuple(balancer.weights.values()), norms))
    return course


@torch.no_grad()
def tested(network: Network, x: Tensor, y: Sequence[Tensor]) -> list[float]:
    return [loss.item() for loss in network.losses(x, y)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--paper-sizes", action="store_true")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    sizes = PAPER if given.paper_sizes else Sizes()
    courses = {
        name: [
            learned(settings, sizes, steps=given.steps, points=given.points, seed=seed)
            for seed in range(given.seeds)
        ]
        for name, settings in {"equal weights": EQUAL, "GradNorm": GRADNORM}.items()
    }
    for name, runs in courses.items():
        show(name, runs)
    if given.out:
        draw(courses, given.out)


def show(name: str, runs: Sequence[Sequence[Point]]) -> None:
    print(
        f"{name}, median of {len(runs)} seeds: task-normalised test loss (by task), weights, gradient norms"
    )
    marks = range(3, len(runs[0]), max(1, len(runs[0]) // 4))
    for mark in sorted({*marks, len(runs[0]) - 1}):
        points = [run[mark] for run in runs]
        losses, weights, norms = (
            [statistics.median(column) for column in zip(*values, strict=True)]
            for values in (
                [point.losses for point in points],
                [point.weights for point in points],
                [point.norms for point in points],
            )
        )
        total = statistics.median(point.normalised for point in points)
        by_task, by_weight, by_norm = (
            " ".join(f"{value:.3g}" for value in row) for row in (losses, weights, norms)
        )
        print(f"  step {points[0].step:5}   {total:.3f} ({by_task})   w {by_weight}   G {by_norm}")
    print(f"  mean over training {statistics.mean(p.normalised for run in runs for p in run):.3f}")


def draw(courses: dict[str, list[list[Point]]], file: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.8), dpi=110, layout="constrained")
    total, small, weights = figure.subplots(1, 3)
    for name, runs in courses.items():
        for run in runs:
            steps = [point.step for point in run]
            label = name if run is runs[0] else None
            total.plot(steps, [point.normalised for point in run], color=COLOURS[name], label=label)
            small.plot(
                steps, [point.losses[0] for point in run], color=COLOURS[name], label=f"{name}, sigma 1"
            )
            small.plot(steps, [point.losses[-1] for point in run], color=COLOURS[name], linestyle=":")
            if name == "GradNorm":
                weights.plot(steps, [point.weights[0] for point in run], color=COLOURS[name])
                weights.plot(steps, [point.weights[-1] for point in run], color=COLOURS[name], linestyle=":")
    total.set_title("task-normalised test loss", fontsize=9)
    small.set_title("by task: sigma 1 —, sigma 100 ···", fontsize=9)
    weights.set_title("GradNorm's weights", fontsize=9)
    weights.set_yscale("log")
    total.legend(fontsize=8)
    for axes in (total, small, weights):
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file)


if __name__ == "__main__":
    main()
