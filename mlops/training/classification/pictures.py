"""A split's pictures, decoded and resized once, in one array that all trainings map into memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mlops.data.depth import as_rgb
from mlops.data.folder_lock import alone_in
from mlops.data.progress import counted
from mlops.errors import DataFault, DiskFull
from mlops.training.durable import move_durably

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops.data.dataset import ClassificationDataset, SplitName

_CHUNK = 32


def decoded(
    dataset: ClassificationDataset, split: SplitName, side: int, cache: Path, workers: int = 0
) -> NDArray[np.uint8]:
    """The split's pictures as (N, side, side, 3) uint8 RGB, mapped read-only from a file under `cache`.

    Each is decoded whole and stretched to a square by a bilinear filter over the area that a pixel covers
    (Pillow's), which is what the served model's callers are told to do. The file is known by the data set's
    digest. `workers`: processes that decode the first time, 0 for this one.
    Raises DataFault for a picture that cannot be read, DiskFull where the file would fill half of the room.
    """
    folder = cache / "pictures" / dataset.identity.digest[:16]
    file = folder / f"{split}-{side}.npy"
    with alone_in(folder):
        if not file.exists():
            _decode(dataset, split, side, file, workers)
    mapped: NDArray[np.uint8] = np.load(file, mmap_mode="r")
    return mapped


def _decode(dataset: ClassificationDataset, split: SplitName, side: int, file: Path, workers: int) -> None:
    images = dataset.splits[split].images
    shape = (len(images), side, side, 3)
    partial_file = file.with_suffix(".partial")
    free = shutil.disk_usage(file.parent).free
    if free < 2 * np.prod(shape, dtype=np.int64):
        raise DiskFull(str(file.parent), f"the {split} pictures at {side} px ({np.prod(shape) / 1e9:.1f} GB)")
    out = np.lib.format.open_memmap(partial_file, mode="w+", dtype=np.uint8, shape=shape)
    read = partial(_square, side=side)
    with ExitStack() as stack:
        if workers > 1 and len(images) > 10 * _CHUNK:
            pool = stack.enter_context(ProcessPoolExecutor(workers))
            squares: Iterator[NDArray[np.uint8]] = pool.map(read, images, chunksize=_CHUNK)
        else:
            squares = map(read, images)
        for i, square in enumerate(counted(squares, len(images), f"reading {split} at {side} px")):
            out[i] = square
    out.flush()
    del out
    move_durably(partial_file, file)


def _square(image: Path | NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """(side, side, 3) uint8 of one picture."""
    if isinstance(image, np.ndarray):
        return _resized(Image.fromarray(image), side)
    try:
        with Image.open(image) as opened:
            return _resized(opened, side)
    except (OSError, ValueError, SyntaxError, ImportError) as error:  # ultralytics asks for a plugin
        raise DataFault(f"{image} cannot be read as a picture: {error}") from error


def _resized(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    square = as_rgb(picture).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(square, dtype=np.uint8)
