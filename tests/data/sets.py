"""Small data sets of every format, with pictures of noise: no two are alike."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 60, 40
BOXES = {"cat": (6, 4, 30, 20), "dog": (30, 10, 60, 40)}


def picture(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


def names(count: int = 12) -> list[str]:
    """Pictures of `count` / 3 patients, three each."""
    return [f"patient{number // 3:02d}_{number:03d}" for number in range(count)]


def voc_xml(name: str, boxes: dict[str, tuple[int, int, int, int]]) -> str:
    objects = "".join(
        f"<object><name>{label}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>"
        f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>\n"
        for label, (x1, y1, x2, y2) in boxes.items()
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    return f"<annotation><filename>{name}.png</filename>{size}\n{objects}</annotation>"


def labelimg_voc(folder: Path) -> Path:
    """XML beside the pictures, as LabelImg saves by default."""
    for number, name in enumerate(names()):
        picture(folder / f"{name}.png", number)
        (folder / f"{name}.xml").write_text(voc_xml(name, BOXES))
    return folder


def labelimg_yolo(folder: Path) -> Path:
    """TXT beside the pictures and classes.txt, as LabelImg saves in its YOLO mode."""
    for number, name in enumerate(names()):
        picture(folder / f"{name}.png", number)
        (folder / f"{name}.txt").write_text("0 0.3 0.3 0.4 0.4\n1 0.75 0.625 0.5 0.75\n")
    (folder / "classes.txt").write_text("cat\ndog\n")
    return folder


def coco(folder: Path) -> Path:
    for number, name in enumerate(names()):
        picture(folder / "images" / f"{name}.png", number)
    images = [
        {"id": i, "file_name": f"{name}.png", "width": WIDTH, "height": HEIGHT, "patient": name[:9]}
        for i, name in enumerate(names())
    ]
    annotations = [
        {"id": 2 * i + k, "image_id": i, "category_id": k + 1, "bbox": [x1, y1, x2 - x1, y2 - y1],
         "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
        for i in range(len(images)) for k, (x1, y1, x2, y2) in enumerate(BOXES.values())
    ]  # fmt: skip
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    (folder / "coco.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    return folder


def table_of_boxes(folder: Path) -> Path:
    rows = ["image,label,x1,y1,x2,y2,patient"]
    for number, name in enumerate(names()):
        picture(folder / "images" / f"{name}.png", number)
        rows += [f"{name}.png,{label},{','.join(map(str, box))},{name[:9]}" for label, box in BOXES.items()]
    (folder / "boxes.csv").write_text("\n".join(rows) + "\n")
    return folder


def table_of_labels(folder: Path) -> Path:
    rows = ["image,label,patient"]
    for number, name in enumerate(names(24)):
        picture(folder / "images" / f"{name}.png", number)
        rows.append(f"images/{name}.png,{'cat' if number % 2 else 'dog'},{name[:9]}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def state(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*")}


SPLITS = {"train": 6, "val": 3, "test": 3}
ROW = "0 0.3 0.3 0.4 0.4\n"


def yolo(folder: Path, splits: Mapping[str, int] = SPLITS, classes: Sequence[str] = ("cat", "dog")) -> Path:
    """data.yaml, images/<split>/*.jpg and labels/<split>/*.txt: a cat on even pictures, a dog on odd ones."""
    number = 0
    for split, count in splits.items():
        (folder / "labels" / split).mkdir(parents=True)
        for index in range(count):
            picture(folder / "images" / split / f"{split}{index}.jpg", number)
            (folder / "labels" / split / f"{split}{index}.txt").write_text(f"{index % 2} 0.3 0.3 0.4 0.4\n")
            number += 1
    places = "".join(f"{split}: images/{split}\n" for split in splits)
    (folder / "data.yaml").write_text(f"{places}names: [{', '.join(classes)}]\n")
    return folder


def voc(folder: Path) -> Path:
    """JPEGImages, Annotations and ImageSets/Main, as the challenge's own."""
    own = names()
    for number, name in enumerate(own):
        picture(folder / "JPEGImages" / f"{name}.png", number)
        (folder / "Annotations").mkdir(exist_ok=True)
        (folder / "Annotations" / f"{name}.xml").write_text(voc_xml(name, BOXES))
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for split, members in (("train", own[:7]), ("val", own[7:10]), ("test", own[10:])):
        (lists / f"{split}.txt").write_text("\n".join(members) + "\n")
    return folder


def class_folders(
    folder: Path, classes: Sequence[str] = ("cat", "dog"), splits: Mapping[str, int] = SPLITS, seed: int = 0
) -> Path:
    """<split>/<class>/*.jpg, as many of each class as `splits` says."""
    for split, count in splits.items():
        for index in range(count):
            for name in classes:
                seed += 1
                picture(folder / split / name / f"{index}.jpg", seed)
    return folder


def npz(file: Path, labels: int = 3, side: int = 12, **changed: object) -> Path:
    """MedMNIST's keys; a value of None in `changed` leaves the key out."""
    rng = np.random.default_rng(0)
    arrays: dict[str, object] = {}
    for split, count in SPLITS.items():
        arrays[f"{split}_images"] = rng.integers(0, 255, (count, side, side, 3), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count, dtype=np.uint8) % labels)[:, None]
    kept = {key: value for key, value in (arrays | changed).items() if value is not None}
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, **kept)  # type: ignore[arg-type]
    return file


def table(folder: Path, rows: Sequence[str], header: str = "image,label") -> Path:
    """labels.csv of these rows, and a picture for the first cell of each in images/."""
    for number, name in enumerate(sorted({row.split(",")[0] for row in rows})):
        picture(folder / "images" / name, number)
    (folder / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder
