"""Peak resident memory of `mlops train`: the demo job, and a classifier on a folder of many images.

The largest sum over the command and its child processes, several times a second; pages that they share are
counted once each (PSS, Linux only).

    python benchmarks/memory.py [--images 20000] [--side 256]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

CLASSES = 8
SMALL = ("model=mobilenetv3_small_050", "weights=none", "image_size=96", "epochs=1", "freeze_epochs=0")


def write_image(folder: Path, side: int, number: int) -> None:
    """A smooth JPEG, of about 10 kB at 256 pixels."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8))
    home = folder / f"class_{number % CLASSES}"
    coarse.resize((side, side), Image.Resampling.BICUBIC).save(home / f"{number:06d}.jpg", quality=90)


def make_images(folder: Path, count: int, side: int) -> Path:
    for number in range(CLASSES):
        (folder / f"class_{number}").mkdir(parents=True)
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(write_image, folder, side), range(count), chunksize=64))
    return folder


def peak_bytes(folder: Path, *arguments: str) -> tuple[int, float]:
    """The peak of a command, and its seconds."""
    start, most = time.perf_counter(), 0
    command = [sys.executable, "-m", "mlops", *arguments]
    with (folder / "said").open("w+b") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        while process.poll() is None:
            most = max(most, _bytes_of(process.pid))
            time.sleep(0.25)
        if process.returncode:
            said.seek(0)
            sys.exit(said.read().decode()[-2000:])
    return most, time.perf_counter() - start


def _bytes_of(pid: int) -> int:
    total = 0
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for each in family:
        try:
            total += each.memory_full_info().pss
        except psutil.Error:  # ended meanwhile
            continue
    return total


def show(what: str, measured: tuple[int, float]) -> None:
    print(f"{what:50} {measured[0] / 1e9:5.2f} GB at most, {measured[1]:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=256)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as place:
        folder = Path(place)
        show("mlops train, on demo data", peak_bytes(folder, "train"))
        data = make_images(folder / "images", given.images, given.side)
        settings = [part for setting in SMALL for part in ("--set", setting)]
        many = ("train", "blood-cell-classifier", "--data", str(data), *settings)
        show(f"one epoch on {given.images} images of {given.side} px", peak_bytes(folder, *many))


if __name__ == "__main__":
    main()
