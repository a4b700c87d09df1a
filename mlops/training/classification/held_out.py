"""Evaluate a classifier on a split, and keep its probabilities for every image."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from mlops.drawing.plots import draw_classifier
from mlops.errors import DataFault
from mlops.files.atomic import move_durably
from mlops.metrics.class_metrics import held_out
from mlops.metrics.samples.image_names import image_names
from mlops.metrics.samples.sample_tables import PREDICTIONS, ClassTable, Header, write_answers
from mlops.training.classification import timm_network as networks
from mlops.training.classification.batches import EvalBatches, Split, decoded, split_of
from mlops.training.classification.training_plots import draw_training
from mlops.training.device import find_device
from mlops.training.protocol import TestResult, TrainConfig
from mlops.training.training_record import Record, write_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mlops.data.dataset import ClassificationDataset, SplitName
    from mlops.systems.recipe import ClassificationRecipe
    from mlops.training.classification.epochs import ClassifierFiles


def evaluate(
    config: TrainConfig[ClassificationRecipe],
    dataset: ClassificationDataset,
    weights: Path,
    split: SplitName,
) -> TestResult:
    """Compute metrics `<split>/...`, plots for the artifact folder `<split>`, and a parquet of predictions.

    One row per image: `image` (its path below the data set's folder, or its index), `source`, `label`,
    `predicted` and `p/<class>`. Raises DataFault for a split without images.
    """
    labelled = dataset.splits.get(split)
    if labelled is None or not len(labelled):
        raise DataFault(f"{dataset.identity.path} has no images in its {split} split to evaluate on")
    folder, recipe = config.out_dir / split, config.recipe
    shutil.rmtree(folder, ignore_errors=True)
    device = torch.device(find_device(config.device))
    network = networks.rebuild(recipe, len(dataset.classes), weights)
    pictures = decoded(dataset, split, recipe.image_size, config.shared, recipe.workers)
    given = probabilities(network, split_of(pictures, labelled.labels), device, recipe.batch)
    drawn = draw_classifier(labelled.labels, given, dataset.classes, folder)
    scores = held_out(labelled.labels, given, dataset.classes, labelled.sources)
    names = image_names(labelled.images)
    answers = ClassTable(
        image=np.array(names, dtype=str),
        source=np.array(labelled.sources or [dataset.identity.name] * len(names), dtype=str),
        truth=labelled.labels,
        probabilities=given,
        classes=dataset.classes,
    )
    header = Header(dataset.identity.digest, split, dataset.classes, names, made_by="training")
    per_sample = write_answers(folder / PREDICTIONS, answers, header)
    return TestResult(
        metrics={f"{split}/{name}": value for name, value in scores.items()},
        artifacts=dict.fromkeys(drawn, split),
        per_sample=per_sample,
    )


def probabilities(network: nn.Module, split: Split, device: torch.device, batch: int) -> NDArray[np.float32]:
    """Probabilities of `network` for every image of the split, in order: (N, C), each row sums to 1."""
    norm = networks.normalisation(network)
    mean = torch.tensor(norm.mean, device=device).view(1, 3, 1, 1)
    std = torch.tensor(norm.std, device=device).view(1, 3, 1, 1)
    network = network.to(device).to(memory_format=torch.channels_last).eval()
    rows = []
    with torch.inference_mode():
        for pictures, _ in EvalBatches(split.near(device), 2 * batch):
            inputs = (pictures.to(device).float().div_(255) - mean) / std
            logits = network(inputs.contiguous(memory_format=torch.channels_last))
            rows.append(torch.softmax(logits.float(), 1).cpu())
    return torch.cat(rows).numpy()


def finish(
    config: TrainConfig[ClassificationRecipe],
    dataset: ClassificationDataset,
    splits: Mapping[str, Split],
    device: torch.device,
    places: ClassifierFiles,
    record: Record,
) -> Record:
    """Draw plots, move the best weights to their final place, and mark the training as finished.

    It is repeated after a kill in between.
    """
    best = places.best_of(record.best().epoch)
    weights = best if best.exists() else places.best
    network = networks.rebuild(config.recipe, len(dataset.classes), weights)
    given = probabilities(network, splits["val"], device, config.recipe.batch)
    draw_training(config, dataset, splits, given, record, places.drawings)
    if best.exists():
        move_durably(best, places.best)
    record = replace(record, parameters=sum(p.numel() for p in network.parameters()), finished=True)
    write_record(places.record, record)
    places.checkpoint.unlink(missing_ok=True)
    return record
