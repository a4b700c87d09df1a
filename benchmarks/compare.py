"""Comparing two versions from their tables, against the same by a plain loop of each draw's own metric.

Ours reads both parquets and draws 2,000 times: all headline figures of a detector (or classifier) with their
intervals. The peer computes mAP by pycocotools, or macro F1 by scikit-learn, anew on each draw of the same
pictures, of both versions; it is given few draws, and its time for those, without reading, is multiplied to
as many.

    python benchmarks/compare.py [--pictures 5000] [--boxes 215] [--draws 2000] [--peer-draws 1]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import f1_score

from mlops.comparison.candidate import BoxAnswers, ClassAnswers, MeasuredOn, Side
from mlops.comparison.candidate_reading import read_boxes_table, read_classes_table
from mlops.comparison.compare import ComparisonRequest, compare_sides
from mlops.metrics.samples.boxes import Boxes
from mlops.metrics.samples.sample_tables import ClassTable, Header, read_boxes, write_answers, write_boxes
from mlops.metrics.statistics.metric_differences import ComparisonSettings

CLASSES = ("niaocao", "piaofuwu", "qiqiu", "suliaodai")
CELLS = tuple(f"cell {number}" for number in range(8))


def boxes_of(pictures: int, per_picture: int, off: float, seed: int) -> Boxes:
    """1 to 5 objects a picture; by `seed` 1 to 4 boxes near each, `off` pixels away, and others of low score
    to `per_picture` in the mean: such a table holds all boxes from a score of 0.001 on.
    """
    annotated, rng = np.random.default_rng(0), np.random.default_rng(seed)
    picture = np.repeat(np.arange(pictures), annotated.integers(1, 6, pictures))
    low = annotated.uniform(0, 500, (len(picture), 2))
    truths = np.concatenate([low, low + annotated.uniform(20, 120, low.shape)], axis=1)
    kinds = annotated.integers(0, len(CLASSES), len(picture))
    near = np.repeat(np.arange(len(picture)), rng.integers(1, 5, len(picture)))
    close = truths[near] + rng.normal(0, 1, (len(near), 4)) * off * rng.uniform(0.3, 2, (len(near), 1))
    close[:, 2:] = np.maximum(close[:, 2:], close[:, :2] + 1)
    rest = max(0, per_picture * pictures - len(near))
    corner = rng.uniform(0, 500, (rest, 2))
    far = np.concatenate([corner, corner + rng.uniform(10, 150, corner.shape)], axis=1)
    seen = np.where(rng.random(len(near)) < 0.85, kinds[near], rng.integers(0, len(CLASSES), len(near)))
    where = np.concatenate([picture, picture[near], rng.integers(0, pictures, rest)])
    score = [np.full(len(picture), np.nan), rng.beta(2.5, 2, len(near)), 0.001 + 0.9 * rng.beta(0.3, 6, rest)]
    order = np.argsort(where, kind="stable")
    return Boxes(
        image=np.array([f"test/images/{number:05d}.jpg" for number in where[order]]),
        truth=np.isnan(np.concatenate(score))[order],
        class_index=np.concatenate([kinds, seen, rng.integers(0, len(CLASSES), rest)])[order],
        score=np.concatenate(score)[order],
        corners=np.concatenate([truths, close, far])[order],
        matched=np.zeros(len(order), bool),
    )


def answers_of(pictures: int, right: float, seed: int) -> ClassTable:
    truth = np.random.default_rng(0).integers(0, len(CELLS), pictures)
    rng = np.random.default_rng(seed)
    given = np.where(rng.random(pictures) < right, truth, rng.integers(0, len(CELLS), pictures))
    probabilities = np.full((pictures, len(CELLS)), 0.01, np.float32)
    probabilities[np.arange(pictures), given] = 0.93
    image = np.array([f"{number:05d}.jpg" for number in range(pictures)])
    return ClassTable(image, np.full(pictures, "cells"), truth, probabilities, CELLS)


def side(name: str, boxes: BoxAnswers | None, answers: ClassAnswers | None) -> Side:
    return Side(name, name, "bench", name, "0", "d", 1, MeasuredOn("made", "d", "test"), (), boxes, answers)


@dataclass(frozen=True)
class Took:
    """wall_s, and cpu_s of the process: where other work holds the machine the second says more."""

    wall_s: float
    cpu_s: float


def timed(work: Callable[[], float]) -> Took:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def detectors(folder: Path, given: argparse.Namespace) -> None:
    files = []
    for name, off in (("first", 6.0), ("second", 5.5)):
        boxes = boxes_of(given.pictures, given.boxes, off, len(files))
        header = Header("d", "test", CLASSES, tuple(np.unique(boxes.image).tolist()), "training")
        (folder / name).mkdir()
        files.append(
            write_boxes(folder / name / "boxes.parquet", boxes, np.where(boxes.truth, np.nan, 0.0), header)
        )
    print(f"detectors: {given.pictures} pictures, {len(boxes.score)} rows each")

    def ours() -> float:
        sides = [side(file.parent.name, read_boxes_table(file)[0], None) for file in files]
        found = compare_sides(sides, ComparisonRequest((), settings=ComparisonSettings(draws=given.draws)))
        return found.candidates[0].figures[0].difference

    tables = [read_boxes(file)[0] for file in files]
    pictures = [np.unique(table.image, return_inverse=True)[1] for table in tables]

    def peer() -> float:
        rng = np.random.default_rng(0)
        for _ in range(given.peer_draws):
            drawn = rng.integers(0, given.pictures, given.pictures)
            first, second = (
                by_pycocotools(redrawn(table, picture, drawn))
                for table, picture in zip(tables, pictures, strict=True)
            )
        return second - first

    report(given, timed(ours), timed(peer), given.peer_draws)


def by_pycocotools(boxes: Boxes) -> float:
    """mAP50-95 as its own example computes it, of boxes of any size."""
    image = np.unique(boxes.image, return_inverse=True)[1]
    size = boxes.corners[:, 2:] - boxes.corners[:, :2]
    corners = np.concatenate([boxes.corners[:, :2], size], axis=1).tolist()
    held = [
        {
            "id": number,
            "image_id": int(image[row]),
            "category_id": int(boxes.class_index[row]),
            "bbox": corners[row],
            "area": corners[row][2] * corners[row][3],
            "iscrowd": 0,
            "score": float(boxes.score[row]),
        }
        for number, row in enumerate(np.argsort(~boxes.truth, kind="stable"), 1)
    ]
    objects = int(boxes.truth.sum())
    sets = []
    with contextlib.redirect_stdout(io.StringIO()):
        for annotations in (held[:objects], held[objects:]):
            made = COCO()
            made.dataset = {
                "images": [{"id": number} for number in np.unique(image).tolist()],
                "categories": [{"id": number} for number in range(len(CLASSES))],
                "annotations": annotations,
            }
            made.createIndex()
            sets.append(made)
        judged = COCOeval(*sets, "bbox")
        judged.params.maxDets = [1_000_000]
        judged.params.areaRng, judged.params.areaRngLbl = [[0, 1e10]], ["all"]
        judged.evaluate()
        judged.accumulate()
    precision = judged.eval["precision"]
    return float(precision[precision > -1].mean())


def redrawn(boxes: Boxes, picture: np.ndarray, drawn: np.ndarray) -> Boxes:
    """The boxes of the pictures drawn, each copy a picture of its own. picture: of each row, ascending."""
    first, last = (np.searchsorted(picture, drawn, side=end) for end in ("left", "right"))
    rows = np.concatenate([np.arange(low, high) for low, high in zip(first, last, strict=True)])
    image = np.repeat(np.arange(len(drawn)), last - first)
    names = np.array([f"{number:06d}" for number in image])
    held = (boxes.truth, boxes.class_index, boxes.score, boxes.corners, boxes.matched)
    return Boxes(names, *(each[rows] for each in held))


def classifiers(folder: Path, given: argparse.Namespace) -> None:
    files = []
    for name, right in (("third", 0.96), ("fourth", 0.965)):
        answers = answers_of(given.pictures, right, len(files))
        header = Header("d", "test", CELLS, tuple(answers.image.tolist()), "training")
        (folder / name).mkdir()
        files.append(write_answers(folder / name / "predictions.parquet", answers, header))
    draws = 20 * given.peer_draws
    print(f"classifiers: {given.pictures} pictures, {len(CELLS)} classes")

    def ours() -> float:
        sides = [side(file.parent.name, None, read_classes_table(file)[0]) for file in files]
        found = compare_sides(sides, ComparisonRequest((), settings=ComparisonSettings(draws=given.draws)))
        return found.candidates[0].figures[0].difference

    tables = [read_classes_table(file)[0] for file in files]

    def peer() -> float:
        rng = np.random.default_rng(0)
        for _ in range(draws):
            drawn = rng.integers(0, given.pictures, given.pictures)
            first, second = (
                f1_score(table.truth[drawn], table.predicted[drawn], average="macro") for table in tables
            )
        return float(second - first)

    report(given, timed(ours), timed(peer), draws)


def report(given: argparse.Namespace, ours: Took, peer: Took, draws: int) -> None:
    times = given.draws / draws
    print(
        f"  ours {ours.wall_s:.2f} s (CPU {ours.cpu_s:.2f} s) for {given.draws} draws\n"
        f"  peer {peer.wall_s:.2f} s (CPU {peer.cpu_s:.2f} s) for {draws}, so {peer.wall_s * times:.0f} s "
        f"for as many\n  ratio of CPU times 1/{peer.cpu_s * times / ours.cpu_s:.0f}   to reach: < 10 s: "
        f"{'yes' if ours.wall_s < 10 else 'NO'}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--boxes", type=int, default=215, help="a picture: what RailFOD23's table holds")
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--peer-draws", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        classifiers(Path(name), given)
        detectors(Path(name), given)


if __name__ == "__main__":
    main()
