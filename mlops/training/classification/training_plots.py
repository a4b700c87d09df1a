"""Plots and files of a training: arguments, curves, class counts, training and validation images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
import yaml
from matplotlib.figure import Figure

from mlops.drawing.plots import COLOURS, draw_classifier, save, style
from mlops.training.classification.batches import augmentation, epoch_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.data.dataset import ClassificationDataset
    from mlops.systems.recipe import ClassificationRecipe
    from mlops.training.classification.batches import Split
    from mlops.training.protocol import TrainConfig
    from mlops.training.training_record import Record

_GRID = 16  # images shown of a batch


def draw_training(
    config: TrainConfig[ClassificationRecipe],
    dataset: ClassificationDataset,
    splits: Mapping[str, Split],
    val_probabilities: NDArray[np.float32],
    record: Record,
    folder: Path,
) -> None:
    """Write the same files as Ultralytics into `folder`; matrices and curves are of the best weights on the
    validation split.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arguments = {**config.recipe.model_dump(), "seed": config.seed, "data": dataset.identity.path}
    (folder / "args.yaml").write_text(yaml.safe_dump(arguments, sort_keys=False), encoding="utf-8")
    history = pd.DataFrame([{"epoch": done.epoch, **done.metrics} for done in record.epochs])
    history.to_csv(folder / "results.csv", index=False)
    _draw_results(history, folder / "results.png")
    _draw_counts(dataset, folder / "labels.png")
    draw_classifier(dataset.splits["val"].labels, val_probabilities, dataset.classes, folder)
    _draw_train_batch(config, splits["train"], dataset.classes, folder / "train_batch0.png")
    _draw_val_batch(splits["val"], val_probabilities, dataset.classes, folder)


def _draw_results(history: pd.DataFrame, file: Path) -> None:
    panels: dict[str, list[str]] = {
        "loss": ["train/loss", "val/loss"],
        "macro F1": ["train/macro_f1", "val/macro_f1"],
        "accuracy": ["train/accuracy", "val/accuracy"],
        "F1 of each class, val": [name for name in map(str, history) if name.startswith("val/F1/")],
        "learning rate": ["lr/backbone", "lr/head"],
        "images per second": ["time/images_per_s"],
    }
    figure = Figure(figsize=(15, 8))
    for axes, (title, names) in zip(figure.subplots(2, 3).flat, panels.items(), strict=True):
        for i, name in enumerate(names):
            label = name.removeprefix("val/F1/")
            axes.plot(history["epoch"], history[name], marker=".", label=label, **style(i))
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize="x-small", frameon=False)
    figure.tight_layout()
    save(figure, file)


def _draw_counts(dataset: ClassificationDataset, file: Path) -> None:
    figure = Figure(figsize=(max(6.0, 0.9 * len(dataset.classes)), 4.5))
    axes = figure.subplots()
    below = np.zeros(len(dataset.classes))
    for i, (split, items) in enumerate(dataset.splits.items()):
        counts = np.bincount(items.labels, minlength=len(dataset.classes))
        axes.bar(dataset.classes, counts, bottom=below, label=f"{split} ({len(items)})", color=COLOURS[i])
        below += counts
    axes.set(ylabel="images", title=f"{int(below.sum())} images by class")
    axes.tick_params(axis="x", rotation=45)
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("right")
    axes.legend(frameon=False)
    save(figure, file)


def _draw_train_batch(
    config: TrainConfig[ClassificationRecipe], split: Split, classes: Sequence[str], file: Path
) -> None:
    """Input images of the network after augmentation."""
    chosen = np.linspace(0, len(split) - 1, min(_GRID, len(split))).astype(int)
    pictures = split.pictures[torch.from_numpy(chosen)].cpu().float().div_(255)
    change = augmentation(config.recipe)
    if change is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(epoch_seed(config.seed, 0))
            pictures = change(pictures)
    titles = [classes[int(label)] for label in split.labels.cpu()[chosen]]
    _grid(pictures, titles, ["black"] * len(titles), file)


def _draw_val_batch(split: Split, given: NDArray[np.float32], classes: Sequence[str], folder: Path) -> None:
    chosen = np.linspace(0, len(split) - 1, min(_GRID, len(split))).astype(int)
    pictures = split.pictures[torch.from_numpy(chosen)].cpu().float().div_(255)
    truth, said = split.labels.cpu().numpy()[chosen], given[chosen].argmax(1)
    _grid(pictures, [classes[t] for t in truth], ["black"] * len(truth), folder / "val_batch0_labels.png")
    titles = [
        f"{classes[s]} {row[s]:.2f}" if s == t else f"{classes[s]} {row[s]:.2f}, is {classes[t]}"
        for s, t, row in zip(said, truth, given[chosen], strict=True)
    ]
    colours = ["black" if s == t else COLOURS[1] for s, t in zip(said, truth, strict=True)]
    _grid(pictures, titles, colours, folder / "val_batch0_pred.png")


def _grid(pictures: Any, titles: Sequence[str], colours: Sequence[str], file: Path) -> None:
    columns = 4
    rows = -(-len(titles) // columns)
    figure = Figure(figsize=(2.6 * columns, 2.6 * rows))
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if i < len(titles):
            axes.imshow(pictures[i].permute(1, 2, 0).clamp(0, 1).numpy())
            axes.set_title(titles[i], fontsize=8, color=colours[i])
    figure.tight_layout()
    save(figure, file)
