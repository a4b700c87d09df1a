"""Train a classifier as the product does, beside the plain timm loop that people write. To reach: 1.3 times
the pictures a second on a CPU.

Both train tf_efficientnet_lite0 at 64 px on the same pictures: batch 64, AdamW 1e-3 one-cycle, flips, a
validation after each epoch, on one device, each in a process of its own, in turn. Ours is the whole of
`ClassificationTrainer.fit` with its decoding, checkpoints and figures; the peer is an eager loop over a
DataLoader of two workers with torchvision's transforms, that keeps nothing. Imports are in both times.

    python benchmarks/classifier_training.py [DATA.npz] [--weights PATH|none] [--epochs 10] [--rounds 1]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlops.data.dataset import ClassificationDataset

MODEL, SIDE, BATCH, LR, WEIGHT_DECAY = "tf_efficientnet_lite0", 64, 64, 1e-3, 0.01
PEER_WORKERS = 2
GOAL = 1.3


@dataclass(frozen=True)
class Asked:
    data: Path
    weights: str
    epochs: int
    compile: bool
    device: str


@dataclass(frozen=True)
class Outcome:
    """images: learnt from in all epochs; seconds: of the whole training; epochs_s: of its epochs alone."""

    images: int
    seconds: float
    epochs_s: float
    macro_f1: float

    @property
    def images_per_s(self) -> float:
        return self.images / self.seconds


def read(asked: Asked, cache: Path) -> ClassificationDataset:
    from mlops.data import open_dataset
    from mlops.data.dataset import ClassificationDataset

    dataset = open_dataset([str(asked.data)], "classification", cache=cache)
    assert isinstance(dataset, ClassificationDataset)
    return dataset


def ours(asked: Asked, folder: Path) -> Outcome:
    from mlops.machine.processors import prepare_environment
    from mlops.systems.recipe import ClassificationRecipe
    from mlops.training import trainer_for
    from mlops.training.protocol import EpochReport, TrainConfig, Verdict
    from mlops.training.threads import TrainingThreads

    prepare_environment()
    dataset = read(asked, folder / "cache")
    recipe = ClassificationRecipe(
        model=MODEL,
        weights=asked.weights,
        image_size=SIDE,
        batch=BATCH,
        epochs=asked.epochs,
        patience=0,
        workers=PEER_WORKERS,
        amp=False,
        optimizer="adamw",
        lr=LR,
        weight_decay=WEIGHT_DECAY,
        schedule="onecycle",
        accumulate=1,
        clip_norm=0,
        freeze_epochs=0,
        compile=asked.compile,
    )
    threads = TrainingThreads()
    reports: list[EpochReport] = []

    def on_epoch(report: EpochReport) -> Verdict:
        reports.append(report)
        return Verdict.CONTINUE

    start = time.perf_counter()
    config = TrainConfig(recipe, dataset, folder / "trial", asked.device, progress=False)
    threads.choose()
    trainer_for("classification").fit(config, threads.after_each_epoch(on_epoch))
    return Outcome(
        images=sum(report.images for report in reports),
        seconds=time.perf_counter() - start,
        epochs_s=sum(report.seconds for report in reports),
        macro_f1=reports[-1].metrics["val/macro_f1"],
    )


def peer(asked: Asked, folder: Path) -> Outcome:
    """`folder` is left empty: the loop keeps no checkpoint."""
    dataset = read(asked, folder / "cache")
    start = time.perf_counter()
    import timm
    import torch
    from safetensors.torch import load_file
    from sklearn.metrics import f1_score
    from torch.utils.data import DataLoader
    from torchvision import transforms

    torch.manual_seed(0)
    device = torch.device(asked.device)
    network: Any = timm.create_model(MODEL, num_classes=len(dataset.classes))
    if asked.weights != "none":
        given = load_file(asked.weights)
        kept = {name: t for name, t in given.items() if not name.startswith("classifier.")}
        network.load_state_dict(kept, strict=False)
    network.to(device)
    cfg = network.pretrained_cfg
    end = [transforms.ToTensor(), transforms.Normalize(cfg["mean"], cfg["std"])]
    flips = [transforms.RandomHorizontalFlip(), transforms.RandomVerticalFlip()]
    resize = transforms.Resize((SIDE, SIDE))
    learnt: Any = Pictures(dataset, "train", transforms.Compose([resize, *flips, *end]))
    measured: Any = Pictures(dataset, "val", transforms.Compose([resize, *end]))
    train: Any = DataLoader(
        learnt,
        BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=PEER_WORKERS,
    )
    val: Any = DataLoader(measured, BATCH, num_workers=PEER_WORKERS)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    moves = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=asked.epochs * len(train))
    images, epochs_start, macro_f1 = 0, time.perf_counter(), 0.0
    for _ in range(asked.epochs):
        network.train()
        for pictures, labels in train:
            optimizer.zero_grad()
            loss: Any = torch.nn.functional.cross_entropy(network(pictures.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
            moves.step()
            images += len(labels)
        network.eval()
        truth, said = [], []
        with torch.no_grad():
            for pictures, labels in val:
                said += network(pictures.to(device)).argmax(1).tolist()
                truth += labels.tolist()
        macro_f1 = float(f1_score(truth, said, average="macro"))
    now = time.perf_counter()
    return Outcome(images, now - start, now - epochs_start, macro_f1)


class Pictures:
    """A split as a torch Dataset: one picture at a time through PIL."""

    def __init__(self, dataset: ClassificationDataset, split: Any, change: Any) -> None:
        self._items, self._change = dataset.splits[split], change

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        from PIL import Image

        picture: Any = self._items.images[index]
        opened = Image.open(picture) if isinstance(picture, Path) else Image.fromarray(picture)
        return self._change(opened.convert("RGB")), int(self._items.labels[index])


def apart(way: Any, asked: Asked) -> Outcome:
    """Run `way` in a new process."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
    ):
        outcome: Outcome = pool.submit(way, asked, Path(folder)).result()
    return outcome


def told(name: str, outcomes: list[Outcome]) -> None:
    whole = statistics.median(outcome.images_per_s for outcome in outcomes)
    within = statistics.median(outcome.images / outcome.epochs_s for outcome in outcomes)
    seconds = statistics.median(outcome.seconds for outcome in outcomes)
    f1 = ", ".join(f"{outcome.macro_f1:.4f}" for outcome in outcomes)
    print(
        f"{name:5}{whole:8.1f} images/s over {seconds:.1f} s ({within:.1f} within epochs)   val macro F1 {f1}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="A classifier's training beside a plain timm loop")
    parser.add_argument("data", nargs="?", type=Path, help="an npz with MedMNIST's keys; default: demo cells")
    parser.add_argument("--weights", default="none", help="a safetensors file, or none")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="ours with torch.compile")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = given.data
        if data is None:
            from mlops.data import demo_dataset

            data = demo_dataset("blood-cell-classifier", Path(folder) / "cells")
        asked = Asked(data, given.weights, given.epochs, given.compile, given.device)
        pairs = [(apart(ours, asked), apart(peer, asked)) for _ in range(given.rounds)]
    own, others = ([pair[i] for pair in pairs] for i in (0, 1))
    told("ours", own)
    told("peer", others)
    ratio = statistics.median(a.images_per_s / b.images_per_s for a, b in pairs)
    verdict = "yes" if ratio >= GOAL else "NO"
    print(f"ratio {ratio:.2f}   {given.epochs} epochs x {given.rounds}   to reach: {GOAL}: {verdict}")


if __name__ == "__main__":
    main()
