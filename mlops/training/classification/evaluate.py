"""Measure a classifier on a split, and keep what it said of every picture."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from mlops.errors import DataFault
from mlops.evaluation.drawing.figures import draw_classifier
from mlops.evaluation.metrics.classification import held_out
from mlops.evaluation.samples.names import image_names
from mlops.evaluation.samples.tables import PREDICTIONS, Answers, Header, write_answers
from mlops.training.classification import network as networks
from mlops.training.classification.batches import EvalBatches, Split, split_of
from mlops.training.classification.pictures import decoded
from mlops.training.device import find_device
from mlops.training.protocol import TestResult, TrainConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.data.dataset import ClassificationDataset, SplitName
    from mlops.systems.recipe import ClassificationRecipe


def evaluate(
    config: TrainConfig[ClassificationRecipe],
    dataset: ClassificationDataset,
    weights: Path,
    split: SplitName,
) -> TestResult:
    """Metrics `<split>/...`, figures in the artifact folder `<split>`, and a parquet of predictions.

    One row a picture: `image` (its path below the data set's folder, or its index), `source`, `label`,
    `predicted` and `p/<class>`. Raises DataFault for a split without pictures.
    """
    labelled = dataset.splits.get(split)
    if labelled is None or not len(labelled):
        raise DataFault(f"{dataset.identity.path} has no pictures in its {split} split to measure on")
    folder, recipe = config.out_dir / split, config.recipe
    shutil.rmtree(folder, ignore_errors=True)
    device = torch.device(find_device(config.device))
    network = networks.rebuild(recipe, len(dataset.classes), weights)
    pictures = decoded(dataset, split, recipe.image_size, config.shared, recipe.workers)
    given = probabilities(network, split_of(pictures, labelled.labels), device, recipe.batch)
    drawn = draw_classifier(labelled.labels, given, dataset.classes, folder)
    scores = held_out(labelled.labels, given, dataset.classes, labelled.sources)
    names = image_names(labelled.images)
    answers = Answers(
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
    """What `network` gives for every picture of the split, in order: (N, C), each row summing to 1."""
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
