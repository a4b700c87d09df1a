"""Images decoded once, and batches of one epoch: order and augmentation depend only on seed and epoch."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mlops.data.pixels import as_rgb
from mlops.errors import DataFault, DiskFull
from mlops.files.atomic import partial_file
from mlops.files.locks import locked_folder
from mlops.terminal.progress import counted
from mlops.training.threads import loading_processes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.data.dataset import ClassificationDataset, SplitName
    from mlops.systems.recipe import ClassificationRecipe

_LIVES_ON_GPU = 0.4  # of the GPU's free memory: larger splits stay in host memory


@dataclass(frozen=True, slots=True)
class Split:
    """Images (N, 3, H, W) uint8 (channels last in memory) and labels (N,) int64, on one device."""

    pictures: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def near(self, device: torch.device) -> Split:
        """The split on `device` if that has enough memory, else unchanged."""
        if device.type != "cuda":
            return self
        free, _ = torch.cuda.mem_get_info(device)
        if self.pictures.nbytes > _LIVES_ON_GPU * free:
            return self
        return Split(self.pictures.to(device), self.labels.to(device))


def split_of(pictures: NDArray[np.uint8], labels: NDArray[np.int64]) -> Split:
    """A split over an array (N, H, W, 3), which may be a memory-mapped file; images are not copied."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return Split(torch.from_numpy(pictures).permute(0, 3, 1, 2), torch.from_numpy(labels))


@dataclass(frozen=True, slots=True)
class TrainBatches:
    """Batches of one epoch of the training split; an incomplete last batch is dropped.

    epoch: returns the number of the next epoch.
    """

    split: Split
    batch: int
    sampler: Literal["shuffle", "balanced"]
    seed: int
    epoch: Callable[[], int]

    def __len__(self) -> int:
        return max(len(self.split) // self.batch, 1)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = self.order(self.epoch())
        for start in range(0, len(self) * self.batch, self.batch):
            chosen = order[start : start + self.batch]
            yield self.split.pictures[chosen], self.split.labels[chosen]

    def order(self, epoch: int) -> Tensor:
        """Indices (N,) of the images in the order of `epoch`."""
        generator = torch.Generator().manual_seed(epoch_seed(self.seed, epoch))
        if self.sampler == "shuffle":
            order = torch.randperm(len(self.split), generator=generator)
        else:
            labels = self.split.labels.cpu()
            weights = 1.0 / torch.bincount(labels).clamp(min=1)[labels].double()
            order = torch.multinomial(weights, len(labels), replacement=True, generator=generator)
        return order.to(self.split.pictures.device)


@dataclass(frozen=True, slots=True)
class EvalBatches:
    """Every image once, in order."""

    split: Split
    batch: int

    def __len__(self) -> int:
        return -(-len(self.split) // self.batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self.split), self.batch):
            end = start + self.batch
            yield self.split.pictures[start:end], self.split.labels[start:end]


def epoch_seed(seed: int, epoch: int) -> int:
    """A seed for each epoch of each training, so that a repeated epoch is identical."""
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])


_CHUNK = 32


def decoded(
    dataset: ClassificationDataset, split: SplitName, side: int, cache: Path, workers: int = 0
) -> NDArray[np.uint8]:
    """The split's images as (N, side, side, 3) uint8 RGB, memory-mapped read-only from a file under `cache`.

    Each is decoded and stretched to a square by Pillow's bilinear filter over the area of a pixel, as the
    exported model's `preprocessing` states. The file is identified by the data set's digest. `workers`:
    processes that decode the first time, 0 for this process.
    Raises DataFault for an unreadable image, DiskFull if the file would fill half of the free space.
    """
    folder = cache / "pictures" / dataset.identity.digest[:16]
    file = folder / f"{split}-{side}.npy"
    with locked_folder(folder):
        if not file.exists():
            _decode(dataset, split, side, file, workers)
    mapped: NDArray[np.uint8] = np.load(file, mmap_mode="r")
    return mapped


def _decode(dataset: ClassificationDataset, split: SplitName, side: int, file: Path, workers: int) -> None:
    images = dataset.splits[split].images
    shape = (len(images), side, side, 3)
    free = shutil.disk_usage(file.parent).free
    if free < 2 * np.prod(shape, dtype=np.int64):
        raise DiskFull(str(file.parent), f"the {split} images at {side} px ({np.prod(shape) / 1e9:.1f} GB)")
    read = partial(_square, side=side)
    with ExitStack() as stack:
        unfinished = stack.enter_context(partial_file(file))
        out = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=shape)
        workers = loading_processes(workers)
        if workers > 1 and len(images) > 10 * _CHUNK:
            pool = stack.enter_context(ProcessPoolExecutor(workers))
            squares: Iterator[NDArray[np.uint8]] = pool.map(read, images, chunksize=_CHUNK)
        else:
            squares = map(read, images)
        for i, square in enumerate(counted(squares, len(images), f"reading {split} at {side} px")):
            out[i] = square
        out.flush()


def _square(image: Path | NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """(side, side, 3) uint8 of one image."""
    if isinstance(image, np.ndarray):
        return _resized(Image.fromarray(image), side)
    try:
        with Image.open(image) as opened:
            return _resized(opened, side)
    except (OSError, ValueError, SyntaxError, ImportError) as error:  # ultralytics asks for a plugin
        raise DataFault(f"{image} cannot be read as an image: {error}") from error


def _resized(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    square = as_rgb(picture).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(square, dtype=np.uint8)


def augmentation(recipe: ClassificationRecipe) -> nn.Module | None:
    """Augments (B, 3, H, W) floats in 0..1; None if the recipe has no augmentation.

    `degrees` and `scale` are uniform in -degrees..degrees and 1-scale..1+scale; new pixels repeat the border.
    `brightness`, `contrast` and `saturation` draw a factor in 1-value..1+value for a blend with black, the
    mean grey and the grey image, as in torchvision.
    """
    import kornia.augmentation as K  # noqa: N812 - its own convention

    steps: list[Any] = []
    if recipe.hflip:
        steps.append(K.RandomHorizontalFlip(p=recipe.hflip))
    if recipe.vflip:
        steps.append(K.RandomVerticalFlip(p=recipe.vflip))
    if recipe.degrees or recipe.scale:
        zoom = (1 - recipe.scale, 1 + recipe.scale)
        steps.append(K.RandomAffine(recipe.degrees, scale=zoom, padding_mode="border", p=1.0))
    if recipe.brightness or recipe.contrast or recipe.saturation:
        steps.append(K.ColorJitter(recipe.brightness, recipe.contrast, recipe.saturation, p=1.0))
    return nn.Sequential(*steps) if steps else None
