"""Epochs until a search reaches the score that random search without pruning ends at; to reach: half.

Both searches spend real trainings on the same data, space and seeds: a small timm network on the blood-cell
demo data. The peer is Optuna's RandomSampler with no pruner; ours is the product's sampler and pruner with
the recipe as trial 0.

    python benchmarks/search.py [--trials 16] [--epochs 8] [--seeds 3]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import optuna

from mlops.data import demo_dataset, open_dataset
from mlops.data.dataset import Dataset
from mlops.search.study import make_pruner, make_sampler
from mlops.search.suggest import recipe_point, suggest, with_values
from mlops.systems import configure, load_system
from mlops.systems.spec import SystemSpec
from mlops.training import trainer_for
from mlops.training.protocol import EpochReport, TrainConfig, Verdict

SETTINGS = ("model=mobilenetv3_small_050", "weights=none", "image_size=32", "workers=0", "patience=0")


class Search:
    """One search, with the best score after each epoch that it spent."""

    def __init__(self, spec: SystemSpec, dataset: Dataset, folder: Path, seed: int) -> None:
        self.spec, self.dataset, self.folder, self.seed = spec, dataset, folder, seed
        self.best_after: list[float] = []

    def run(self, study: optuna.Study, trials: int) -> None:
        study.optimize(self._train, n_trials=trials)

    def _train(self, trial: optuna.Trial) -> float:
        recipe = with_values(self.spec.recipe, suggest(trial, self.spec.space))
        out = self.folder / f"trial-{trial.number}"
        out.mkdir(parents=True)
        scores: list[float] = []

        def on_epoch(report: EpochReport) -> Verdict:
            scores.append(report.metrics[self.spec.objective])
            self.best_after.append(max([*self.best_after[-1:], scores[-1]]))
            trial.report(scores[-1], report.epoch)
            return Verdict.STOP if trial.should_prune() else Verdict.CONTINUE

        config = TrainConfig(recipe, self.dataset, out, device="cpu", seed=self.seed, progress=False)
        trainer_for(self.spec.task).fit(config, on_epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
        return max(scores)

    def epochs_to(self, score: float) -> int | None:
        return next((n for n, best in enumerate(self.best_after, 1) if best >= score), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spec = configure(load_system("blood-cell-classifier"), (*SETTINGS, f"epochs={given.epochs}"), demo=True)
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = demo_dataset(spec.name, folder / "cells")
        dataset = open_dataset([str(data)], spec.task, cache=folder / "cache")
        for seed in range(given.seeds):
            peer = Search(spec, dataset, folder / f"random-{seed}", seed)
            peer.run(
                optuna.create_study(
                    direction="maximize",
                    sampler=optuna.samplers.RandomSampler(seed=seed),
                    pruner=optuna.pruners.NopPruner(),
                ),
                given.trials,
            )
            target, spent = peer.best_after[-1], len(peer.best_after)
            ours = Search(spec, dataset, folder / f"ours-{seed}", seed)
            study = optuna.create_study(
                direction="maximize",
                sampler=make_sampler(seed),
                pruner=make_pruner(spec.search.warmup_epochs),
            )
            study.enqueue_trial(recipe_point(spec.recipe, spec.space))
            ours.run(study, given.trials)
            needed = ours.epochs_to(target)
            ratios.append(needed / spent if needed else float("inf"))
            print(
                f"seed {seed}: random ends at {target:.4f} after {spent} epochs; "
                f"ours reaches it after {needed or 'never'} (ends at {ours.best_after[-1]:.4f} "
                f"after {len(ours.best_after)})",
                flush=True,
            )
    median = statistics.median(ratios)
    print(f"median ratio {median:.2f}   to reach: <= 0.50: {'yes' if median <= 0.5 else 'NO'}")


if __name__ == "__main__":
    main()
