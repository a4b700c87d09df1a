"""What a classifier's recipe says is what happens in training."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn import functional

from mlops.training.classification import ClassificationTrainer
from mlops.training.classification import timm_network as networks
from mlops.training.classification.batches import TrainBatches, split_of
from mlops.training.classification.lightning_module import ClassifierModule
from mlops.training.protocol import EpochReport, Verdict
from tests.training.classification_case import (
    CLASSES,
    COUNTS,
    Reports,
    draw_nothing,
    tiny_config,
    tiny_dataset,
    tiny_recipe,
)

epochs: Any = importlib.import_module("mlops.training.classification.epochs")

WITHOUT_BATCH_NORM = "test_convnext"
MOMENTS = 1.9  # a first Nesterov step of momentum 0.9, in gradients


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    draw_nothing(monkeypatch)


def fit(folder: Path, name: str = "trial", **recipe: Any) -> dict[str, Tensor]:
    """The last weights of a training."""
    result = ClassificationTrainer().fit(tiny_config(folder, name=name, **recipe), Reports())
    return load_file(result.last_weights)


def first_weights(**recipe: Any) -> dict[str, Tensor]:
    """The network that a training of seed 0 starts from."""
    return networks.build(tiny_recipe(**recipe), len(CLASSES), 0).state_dict()


def parameter_names(**recipe: Any) -> list[str]:
    return [name for name, _ in networks.build(tiny_recipe(**recipe), len(CLASSES), 0).named_parameters()]


def module_of(counts: tuple[int, ...] = (16, 16, 16), **recipe: Any) -> ClassifierModule:
    made = tiny_recipe(**recipe)
    return ClassifierModule(networks.build(made, len(CLASSES), 0), made, torch.tensor(counts), 6)


def a_batch(count: int = 12) -> tuple[Tensor, Tensor]:
    train = tiny_dataset().splits["train"]
    split = split_of(np.asarray(train.images), train.labels)
    return split.pictures[:count], split.labels[:count]


# freezing


class WeightsByEpoch:
    """Keeps what lies in `weights/last.safetensors` after each epoch; `interrupt` raises in that report."""

    def __init__(self, out_dir: Path, interrupt: int = 0) -> None:
        self.held: dict[int, dict[str, Tensor]] = {}
        self._file, self._interrupt = out_dir / "weights" / "last.safetensors", interrupt

    def __call__(self, report: EpochReport) -> Verdict:
        if report.epoch == self._interrupt:
            raise KeyboardInterrupt
        self.look(report.epoch - 1)  # the checkpoint of this epoch is not written yet
        return Verdict.CONTINUE

    def look(self, epoch: int) -> None:
        if self._file.exists():
            self.held[epoch] = load_file(self._file)


@pytest.mark.parametrize("interrupt", [0, 2], ids=["in one go", "after a resume"])
def test_a_frozen_backbone_stays_as_it_was_and_is_released_on_time(tmp_path: Path, interrupt: int) -> None:
    recipe: dict[str, Any] = {"epochs": 4, "freeze_epochs": 2, "weight_decay": 0.1}
    config = tiny_config(tmp_path, **recipe)
    seen = WeightsByEpoch(config.out_dir, interrupt)
    if interrupt:
        with pytest.raises(KeyboardInterrupt):
            ClassificationTrainer().fit(config, seen)
        seen = WeightsByEpoch(config.out_dir)
    ClassificationTrainer().fit(config, seen)
    seen.look(4)
    start = first_weights(**recipe)
    head = [name for name in start if name.startswith("fc.")]
    backbone = [name for name in start if name not in head and start[name].is_floating_point()]
    assert head and any("running_var" in name for name in backbone)
    for frozen in set(seen.held) & {1, 2}:
        assert all(torch.equal(seen.held[frozen][name], start[name]) for name in backbone)
        assert not any(torch.equal(seen.held[frozen][name], start[name]) for name in head)
    assert {2, 3} <= set(seen.held)
    assert not any(torch.equal(seen.held[3][name], start[name]) for name in backbone)


def test_no_gradient_reaches_a_frozen_backbone() -> None:
    module = module_of()
    module.freeze_backbone(True)
    module.train()
    torch.autograd.backward(module.training_step(a_batch(), 0))
    reached = {name for name, p in module.network.named_parameters() if p.grad is not None}
    assert reached == {"fc.weight", "fc.bias"}
    module.freeze_backbone(False)
    torch.autograd.backward(module.training_step(a_batch(), 0))
    assert all(p.grad is not None for p in module.network.parameters())


# steps


def test_two_accumulated_batches_step_as_one_batch_of_twice_the_size(tmp_path: Path) -> None:
    recipe = {"model": WITHOUT_BATCH_NORM, "optimizer": "sgd", "lr": 0.05, "schedule": "cosine"}
    once = fit(tmp_path, "once", batch=16, **recipe)
    twice = fit(tmp_path, "twice", batch=8, accumulate=2, **recipe)
    start = first_weights(**recipe)
    assert any((once[name] - start[name]).abs().max() > 1e-2 for name in once)
    assert max(float((once[name] - twice[name]).abs().max()) for name in once) < 1e-5


def test_a_schedule_ends_with_the_last_step_also_where_accumulation_does_not_divide(tmp_path: Path) -> None:
    reports = Reports()
    config = tiny_config(tmp_path, tiny_dataset({**COUNTS, "train": 40}), schedule="cosine", accumulate=2)
    ClassificationTrainer().fit(config, reports)  # five batches, three steps an epoch
    assert [r.metrics["lr/head"] for r in reports] == pytest.approx([0.0015, 0.0], abs=1e-12)


def test_reported_rates_are_the_schedules_also_after_a_resume(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, epochs=4, schedule="cosine", warmup_epochs=1)
    before = Reports()

    def until_the_third(report: EpochReport) -> Verdict:
        if report.epoch == 3:
            raise KeyboardInterrupt
        return before(report)

    with pytest.raises(KeyboardInterrupt):
        ClassificationTrainer().fit(config, until_the_third)
    after = Reports()
    ClassificationTrainer().fit(config, after)
    expected = [0.003 * (1 + cos(pi * done / 3)) / 2 for done in range(4)]
    for group in ("backbone", "head"):
        taken = [report.metrics[f"lr/{group}"] for report in (*before, *after)]
        assert taken == pytest.approx(expected, abs=1e-9)


def test_clipping_bounds_the_step(tmp_path: Path) -> None:
    recipe = {"optimizer": "sgd", "lr": 1.0, "weight_decay": 0.0, "batch": 48, "epochs": 1}
    start = first_weights(**recipe)

    def length(weights: dict[str, Tensor]) -> float:
        moves = [weights[name] - start[name] for name in parameter_names(**recipe)]
        return float(torch.cat([move.flatten() for move in moves]).norm())

    assert length(fit(tmp_path, "free", **recipe)) > 0.5
    assert length(fit(tmp_path, "clipped", clip_norm=0.01, **recipe)) == pytest.approx(
        0.01 * MOMENTS, rel=1e-3
    )


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_weight_decay_pulls_weights_in(tmp_path: Path, optimizer: str) -> None:
    recipe = {"optimizer": optimizer, "lr": 0.001, "epochs": 1}
    none = fit(tmp_path, "none", weight_decay=0.0, **recipe)
    much = fit(tmp_path, "much", weight_decay=5.0, **recipe)
    assert much["conv1.0.weight"].norm() < none["conv1.0.weight"].norm()


def test_label_smoothing_and_class_weights_are_those_of_the_loss() -> None:
    logits, labels = torch.randn(30, 3, generator=torch.Generator().manual_seed(1)), torch.arange(30) % 3
    smooth = module_of(label_smoothing=0.2).loss(logits, labels)
    per_class = -functional.log_softmax(logits, 1)
    by_hand = 0.8 * per_class[torch.arange(30), labels] + 0.2 * per_class.mean(1)
    assert smooth.item() == pytest.approx(by_hand.mean().item(), rel=1e-5)
    truth = np.repeat([0, 1, 2], [30, 12, 6])
    weights = torch.tensor(compute_class_weight("balanced", classes=np.arange(3), y=truth)).float()
    balanced = module_of((30, 12, 6), class_weights="balanced").loss(logits, labels)
    assert balanced.item() == pytest.approx(
        functional.cross_entropy(logits, labels, weights).item(), rel=1e-5
    )
    assert balanced.item() != pytest.approx(module_of((30, 12, 6)).loss(logits, labels).item(), rel=1e-3)


def test_dropout_acts_in_training_alone() -> None:
    pictures, _ = a_batch()
    for dropout, same in ((0.5, False), (0.0, True)):
        network = networks.build(tiny_recipe(dropout=dropout), len(CLASSES), 0).train()
        inputs = pictures.float() / 255
        assert torch.equal(network(inputs), network(inputs)) is same
        assert torch.equal(network.eval()(inputs), network(inputs))


# drawing


def batches_of(labels: list[int], sampler: str, batch: int = 8, epoch: int = 0) -> TrainBatches:
    pictures = np.zeros((len(labels), 2, 2, 3), np.uint8)
    split = split_of(pictures, np.array(labels, np.int64))
    return TrainBatches(split, batch, sampler, 0, lambda: epoch)  # type: ignore[arg-type]


def test_the_balanced_sampler_draws_every_class_equally_often() -> None:
    labels = [0] * 900 + [1] * 80 + [3] * 20
    batches = batches_of(labels, "balanced")
    drawn = torch.cat([torch.tensor(labels)[batches.order(epoch)] for epoch in range(10)])
    shares = torch.bincount(drawn, minlength=4) / len(drawn)
    assert shares.tolist() == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3], abs=0.02)


def test_shuffling_shows_every_picture_once_in_an_order_of_its_epoch() -> None:
    batches = batches_of([0] * 50, "shuffle")
    orders = [batches.order(epoch).tolist() for epoch in (0, 1, 0)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert orders[0] == orders[2] != orders[1]


def test_a_training_draws_epoch_after_epoch_and_the_same_ones_after_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    asked = TrainBatches.order

    def order(self: TrainBatches, epoch: int) -> Tensor:
        drawn.append(epoch)
        return asked(self, epoch)

    monkeypatch.setattr(TrainBatches, "order", order)
    config = tiny_config(tmp_path, epochs=4)

    def until_the_third(report: EpochReport) -> Verdict:
        if report.epoch == 3:
            raise KeyboardInterrupt
        return Verdict.CONTINUE

    with pytest.raises(KeyboardInterrupt):
        ClassificationTrainer().fit(config, until_the_third)
    ClassificationTrainer().fit(config, Reports())
    assert drawn == [0, 1, 2, 2, 3]


def test_only_whole_batches_are_learnt_from_but_a_small_set_is_one() -> None:
    assert [len(labels) for _, labels in batches_of([0] * 20, "shuffle")] == [8, 8]
    assert [len(labels) for _, labels in batches_of([0] * 5, "shuffle")] == [5]


# ending


def test_patience_stops_where_every_score_is_equal(tmp_path: Path) -> None:
    stuck: dict[str, Any] = {
        "lr": 1e-12,
        "freeze_epochs": 9,
        "epochs": 9,
    }  # nothing moves: neither weights nor statistics
    reports = Reports()
    result = ClassificationTrainer().fit(tiny_config(tmp_path, patience=2, **stuck), reports)
    assert len({report.metrics["val/macro_f1"] for report in reports}) == 1
    assert [report.epoch for report in reports] == [1, 2, 3]
    assert result.epochs_done == 3


@pytest.mark.parametrize(
    ("patience", "scores", "done", "best"),
    [
        (2, [0.1, 0.3, 0.2, 0.3, 0.9, 0.9], 4, 4),
        (2, [0.1, 0.3, 0.2, 0.4, 0.1, 0.2], 6, 4),
        (0, [0.5, 0.4, 0.3, 0.2, 0.1, 0.0], 6, 1),
    ],
    ids=["two epochs without better", "a better one in time", "switched off"],
)
def test_patience_counts_epochs_since_the_first_of_the_best(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    patience: int,
    scores: list[float],
    done: int,
    best: int,
) -> None:
    scripted = itertools.chain(scores)
    measured: Callable[..., dict[str, float]] = epochs.headline

    def headline(*given: object, per_class: bool = False) -> dict[str, float]:
        real = measured(*given, per_class=per_class)
        return {**real, "macro_f1": next(scripted)} if per_class else real

    monkeypatch.setattr(epochs, "headline", headline)
    reports = Reports()
    result = ClassificationTrainer().fit(tiny_config(tmp_path, epochs=6, patience=patience), reports)
    assert len(reports) == result.epochs_done == done
    assert result.best_epoch == best
    assert result.best_metrics == reports[best - 1].metrics
