"""After the last epoch: measure the best weights once more for the figures, and name the files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from mlops.training.classification import network as networks
from mlops.training.classification.drawings import draw_training
from mlops.training.classification.evaluate import probabilities
from mlops.training.durable import move_durably
from mlops.training.record import Record, write_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlops.data.dataset import ClassificationDataset
    from mlops.systems.recipe import ClassificationRecipe
    from mlops.training.classification.batches import Split
    from mlops.training.classification.folder import Places
    from mlops.training.protocol import TrainConfig


def finish(
    config: TrainConfig[ClassificationRecipe],
    dataset: ClassificationDataset,
    splits: Mapping[str, Split],
    device: torch.device,
    places: Places,
    record: Record,
) -> Record:
    """Draw what a person looks at, put the best weights in place, and mark the training as finished.

    Called again after a kill in the middle of it, it does it again.
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
