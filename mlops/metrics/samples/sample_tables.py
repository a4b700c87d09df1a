"""The per-sample tables of an evaluation: a parquet of boxes or of class probabilities, with a header.

`boxes.parquet`, one row per box:

| column | |
|---|---|
| image | path below the data set's folder |
| kind | `prediction` or `truth` |
| class, class_index | |
| score | of a prediction; null for a truth |
| x1, y1, x2, y2 | pixels of the image file |
| iou | a prediction's largest IoU with a truth of its class, 0 without one; null for a truth |
| matched | a prediction that counts as true at IoU 0.5; null for a truth |

`predictions.parquet`, one row per image: `image` (its path, or its index in an array), `source`, `label`,
`predicted` and `p/<class>`.

The header is JSON in the file's metadata, under `mlops`: see `Header`.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops.files.atomic import partial_file
from mlops.metrics.samples.boxes import Boxes

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOXES, PREDICTIONS = "boxes.parquet", "predictions.parquet"
_KEY = b"mlops"


@dataclass(frozen=True, slots=True)
class Header:
    """digest: of the data set. split: of the data set. pictures: all images, including those without a box.

    made_by: `training`, or the SHA-256 of the ONNX file.
    """

    digest: str
    split: str
    classes: tuple[str, ...]
    pictures: tuple[str, ...]
    made_by: str


@dataclass(frozen=True, slots=True)
class ClassTable:
    """A classifier's table: image, source (N,); truth (N,) class indices; probabilities (N, classes)."""

    image: NDArray[np.str_]
    source: NDArray[np.str_]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]

    @property
    def predicted(self) -> NDArray[np.int64]:
        return np.asarray(self.probabilities.argmax(1), np.int64)


def write_boxes(file: Path, boxes: Boxes, iou: NDArray[np.float64], header: Header) -> Path:
    """iou (N,), NaN for a truth."""
    import pyarrow as pa

    given = ~boxes.truth
    names = np.array(header.classes, dtype=object)
    columns = {
        "image": pa.array(boxes.image.tolist(), pa.string()),
        "kind": pa.array(np.where(boxes.truth, "truth", "prediction").tolist(), pa.string()),
        "class": pa.array(names[boxes.class_index].tolist() if len(given) else [], pa.string()),
        "class_index": pa.array(boxes.class_index, pa.int32()),
        "score": pa.array(boxes.score.astype(np.float32), pa.float32(), mask=boxes.truth),
        **{
            side: pa.array(boxes.corners[:, index].astype(np.float32))
            for index, side in enumerate(("x1", "y1", "x2", "y2"))
        },
        "iou": pa.array(iou.astype(np.float32), pa.float32(), mask=boxes.truth),
        "matched": pa.array(boxes.matched, pa.bool_(), mask=boxes.truth),
    }
    return _write(file, pa.table(columns), header)


def read_boxes(file: Path) -> tuple[Boxes, Header | None]:
    """The rows of a `boxes.parquet`; the header is None for an old file without one.

    Raises OSError, ValueError or KeyError for another file.
    """
    import pyarrow.parquet as pq

    held = pq.read_table(file)
    sides = [_floats(held, side) for side in ("x1", "y1", "x2", "y2")]
    boxes = Boxes(
        image=np.array(held["image"].to_pylist(), dtype=str),
        truth=np.array([kind == "truth" for kind in held["kind"].to_pylist()], dtype=bool),
        class_index=np.asarray(held["class_index"].to_numpy(), np.int64),
        score=_floats(held, "score"),
        corners=np.stack(sides, axis=1) if held.num_rows else np.zeros((0, 4)),
        matched=np.array([bool(each) for each in held["matched"].to_pylist()], dtype=bool),
    )
    return boxes, _header(held.schema)


def write_answers(file: Path, answers: ClassTable, header: Header) -> Path:
    import pyarrow as pa

    names = np.array(answers.classes, dtype=object)
    columns = {
        "image": pa.array(answers.image.tolist(), pa.string()),
        "source": pa.array(answers.source.tolist(), pa.string()),
        "label": pa.array(names[answers.truth].tolist(), pa.string()),
        "predicted": pa.array(names[answers.predicted].tolist(), pa.string()),
        **{
            f"p/{name}": pa.array(answers.probabilities[:, index])
            for index, name in enumerate(answers.classes)
        },
    }
    return _write(file, pa.table(columns), header)


def read_answers(file: Path) -> tuple[ClassTable, Header | None]:
    """The rows of a `predictions.parquet`. Raises OSError, ValueError or KeyError for another file."""
    import pyarrow.parquet as pq

    held = pq.read_table(file)
    classes = tuple(name.removeprefix("p/") for name in held.column_names if name.startswith("p/"))
    place = {name: index for index, name in enumerate(classes)}
    given = [np.asarray(held[f"p/{name}"].to_numpy(), np.float32) for name in classes]
    answers = ClassTable(
        image=np.array(held["image"].to_pylist(), dtype=str),
        source=np.array(held["source"].to_pylist(), dtype=str),
        truth=np.array([place[name] for name in held["label"].to_pylist()], dtype=np.int64),
        probabilities=np.stack(given, axis=1),
        classes=classes,
    )
    return answers, _header(held.schema)


def read_header(file: Path) -> Header | None:
    """The header of the table in `file`; None for an old file without one."""
    import pyarrow.parquet as pq

    return _header(pq.ParquetFile(file).schema_arrow)


def _write(file: Path, table: Any, header: Header) -> Path:
    import pyarrow.parquet as pq

    said = json.dumps(dataclasses.asdict(header)).encode()
    with partial_file(file) as partial:
        pq.write_table(table.replace_schema_metadata({_KEY: said}), partial)
    return file


def _header(schema: Any) -> Header | None:
    held = (schema.metadata or {}).get(_KEY)
    if held is None:
        return None
    said = json.loads(held)
    said["classes"], said["pictures"] = tuple(said["classes"]), tuple(said["pictures"])
    return Header(**said)


def _floats(table: Any, column: str) -> NDArray[np.float64]:
    return np.array(table[column].to_numpy(zero_copy_only=False), dtype=np.float64)
