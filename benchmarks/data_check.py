"""How long `mlops data check` takes on a set of 640-pixel JPEGs, cold and again, and the digest after it.

python benchmarks/data_check.py --pictures 20000 --folder /tmp/check-bench
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from mlops.data import check_dataset, open_dataset

SHARES = (("train", 0.7), ("val", 0.15), ("test", 0.15))
SIDE = 640


def write_picture(folder: Path, split: str, index: int) -> None:
    """A blurred random field under sensor noise: about the size and the decoding time of a photograph."""
    rng = np.random.default_rng(index)
    field = Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).resize((SIDE, SIDE))
    noise = rng.integers(0, 24, (SIDE, SIDE, 1), dtype=np.uint8)
    picture = np.asarray(field) // 2 + 60 + noise
    Image.fromarray(picture.astype(np.uint8)).save(folder / split / "images" / f"{index:06d}.jpg", quality=75)
    boxes = rng.uniform(0.1, 0.3, (3, 4))
    rows = [f"{index % 4} {x + 0.2:.6f} {y + 0.2:.6f} {w:.6f} {h:.6f}\n" for x, y, w, h in boxes]
    (folder / split / "labels" / f"{index:06d}.txt").write_text("".join(rows))


def write_set(folder: Path, pictures: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # what an interruption left
    for split, _ in SHARES:
        (folder / split / "images").mkdir(parents=True)
        (folder / split / "labels").mkdir()
    splits = [split for split, share in SHARES for _ in range(round(share * pictures))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda each: write_picture(folder, each[1], each[0]), enumerate(splits)))
    (folder / "data.yaml").write_text(
        "train: train/images\nval: val/images\ntest: test/images\nnames: [a, b, c, d]\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--folder", type=Path, required=True, help="new, or of an earlier run with as many")
    arguments = parser.parse_args()
    folder, cache = arguments.folder / f"set-{arguments.pictures}", arguments.folder / "cache"
    if not (folder / "data.yaml").is_file():
        write_set(folder, arguments.pictures)
    shutil.rmtree(cache, ignore_errors=True)
    sizes = [each.stat().st_size for each in folder.rglob("*.jpg")]
    mean_kb = sum(sizes) / len(sizes) / 1e3
    print(f"{len(sizes)} pictures of {SIDE} px, {mean_kb:.0f} kB each, {os.cpu_count()} cores")
    for name in ("first", "second"):
        start = time.perf_counter()
        faults = check_dataset([str(folder)], "detection", cache=cache)
        taken_s = time.perf_counter() - start
        print(f"{name} check: {taken_s:.1f} s, {len(sizes) / taken_s:.0f} pictures/s, {len(faults)} faults")
    for name in ("first", "second"):
        start = time.perf_counter()
        open_dataset([str(folder)], "detection", cache=cache)
        print(f"{name} open with digest, after the check: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
