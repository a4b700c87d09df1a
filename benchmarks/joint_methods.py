"""The joint detector's ways to balance, on the same data, budget and seeds: does the seed's claim hold?

Seed report 004 says that under GradNorm the detection loss fell by 82.4 % and the weights settled near 15:1,
detection to classification. Trained here: GradNorm, fixed weights, uncertainty, gradient surgery, detection
only, classification only, two backbones; each with every seed, by `mlops train`, on the data's own splits.
Printed: held-out figures of both tasks, mean and standard deviation over the seeds, how far the detection
loss fell from its first epoch to its last, the last epoch's weights, and seconds an epoch. `mlops compare` of
all of them is written to OUT. A training that is already there is not done again.

Data with splits and two answers; the pictures' class by `--set image_label=...` (see docs/joint.md):

    python benchmarks/joint_methods.py --data bccd/ --set image_label=present:Platelets --set model=yolov5n \\
        --set weights=none --set image_size=160 --epochs 10 [--seeds 3] [--out joint-methods]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

METHODS: Mapping[str, tuple[str, ...]] = {
    "gradnorm": (),
    "fixed": ("variant=fixed-weights",),
    "uncertainty": ("balance=uncertainty",),
    "upgrad": ("balance=upgrad",),
    "detection-only": ("variant=detection-only",),
    "classification-only": ("variant=classification-only",),
    "two-backbones": ("variant=two-backbones",),
}
FIGURES = {"mAP50": "mAP50", "mAP50-95": "mAP50-95", "accuracy": "accuracy", "macro F1": "macro_f1"}
UNTRAINED = {"detection-only": {"accuracy", "macro F1"}, "classification-only": {"mAP50", "mAP50-95"}}
SEED_CLAIM = "seed report 004: detection loss -82.4 %, weights 15:1"


@dataclass(frozen=True, slots=True)
class Trained:
    """One training. losses: the detection loss of each epoch; ratio: of the last weights, nan where one
    task.
    """

    test: Mapping[str, float]
    losses: tuple[float, ...]
    ratio: float
    epoch_s: float

    @property
    def fell(self) -> float:
        """Change of the detection loss from the first epoch to the last, in parts of the first."""
        return self.losses[-1] / self.losses[0] - 1 if self.losses else float("nan")


def main() -> None:
    given = arguments()
    out = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[Trained]] = {}
    for method in given.methods:
        found[method] = [trained(given, out, method, seed) for seed in range(given.seeds)]
    print(table(found))
    print(SEED_CLAIM)
    compare(given, out)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--methods", nargs="+", choices=tuple(METHODS), default=list(METHODS))
    parser.add_argument("--out", type=Path, default=Path("joint-methods"))
    return parser.parse_args()


def mlops(out: Path, *arguments: str) -> str:
    """What the command printed; it keeps its store and its home in `out`. Its own words show as they come."""
    home = {"MLOPS_HOME": str(out / ".mlops"), "MLFLOW_TRACKING_URI": uri(out)}
    command = [sys.executable, "-m", "mlops", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **home}, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)}: exit {done.returncode}")
    return done.stdout


def uri(out: Path) -> str:
    return f"sqlite:///{out / 'mlflow.db'}"


def study(method: str, seed: int) -> str:
    return f"{method}-{seed}"


def trained(given: argparse.Namespace, out: Path, method: str, seed: int) -> Trained:
    settings = [*METHODS[method], *given.settings, f"epochs={given.epochs}"]
    chosen = [part for setting in settings for part in ("--set", setting)]
    told = mlops(
        out,
        *("train", "joint-detector", "--data", given.data, "--study", study(method, seed)),
        *("--seed", str(seed), "--device", given.device, *chosen, "--no-register", "--json"),
    )
    outcome = json.loads(told)
    print(f"{study(method, seed)}: {outcome['best_run_id']}", file=sys.stderr, flush=True)
    return read(out, outcome["best_run_id"], outcome["test_split"], outcome["test"])


def read(out: Path, run_id: str, split: str, test: Mapping[str, float]) -> Trained:
    from mlflow import MlflowClient

    client = MlflowClient(uri(out))
    weights = [course(client, run_id, f"balance/weight/{task}") for task in ("detection", "classification")]
    return Trained(
        test={name: test.get(f"{split}/{figure}", float("nan")) for name, figure in FIGURES.items()},
        losses=course(client, run_id, "train/detection_loss"),
        ratio=weights[0][-1] / weights[1][-1] if all(weights) else float("nan"),
        epoch_s=statistics.median(course(client, run_id, "time/epoch_s")),
    )


def course(client: MlflowClient, run_id: str, metric: str) -> tuple[float, ...]:
    """The metric's values by epoch."""
    points = client.get_metric_history(run_id, metric)
    return tuple(point.value for point in sorted(points, key=lambda point: point.step))


def table(found: Mapping[str, Sequence[Trained]]) -> str:
    head = f"{'method':<20}" + "".join(f"{name:>17}" for name in FIGURES)
    lines = [head + f"{'detection loss':>17}{'weights':>12}{'s/epoch':>10}"]
    for method, runs in found.items():
        cells = [
            "-" if name in UNTRAINED.get(method, ()) else spread([run.test[name] for run in runs])
            for name in FIGURES
        ]
        fell = "-" if method == "classification-only" else spread([run.fell * 100 for run in runs], 1) + " %"
        ratio = statistics.mean(run.ratio for run in runs)
        weights = "-" if ratio != ratio else f"{ratio:.2f}:1"
        epoch_s = statistics.median(run.epoch_s for run in runs)
        row = "".join(f"{cell:>17}" for cell in (*cells, fell))
        lines.append(f"{method:<20}{row}{weights:>12}{epoch_s:>10.1f}")
    return "\n".join(lines)


def spread(values: Sequence[float], digits: int = 3) -> str:
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def compare(given: argparse.Namespace, out: Path) -> None:
    names = [study(method, seed) for method in given.methods for seed in range(given.seeds)]
    if len(given.methods) > 1:
        print(mlops(out, "compare", *names, "--baseline", names[0], "--out", str(out / "comparison")))


if __name__ == "__main__":
    main()
