"""A detector's boxes as numbers: pictures by their place in a list, predictions in order of rank."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mlops.evaluation.samples.boxes import Boxes


@dataclass(frozen=True, slots=True)
class Detections:
    """T annotated boxes and P predicted ones on M pictures.

    pictures: (M,) names, sorted. truth_picture, picture: (T,), (P,) indices into it. truth_class,
    class_index: (T,), (P,). truth_box, box: (T, 4), (P, 4) x1, y1, x2, y2 in pixels. score: (P,).
    Predictions are sorted by class and then by score, the surest first; equals by picture, as pycocotools
    has them, and on one picture as in the table.
    """

    pictures: NDArray[np.str_]
    truth_picture: NDArray[np.int64]
    truth_class: NDArray[np.int64]
    truth_box: NDArray[np.float64]
    picture: NDArray[np.int64]
    class_index: NDArray[np.int64]
    score: NDArray[np.float64]
    box: NDArray[np.float64]

    def on(self, pictures: NDArray[np.str_]) -> Detections:
        """The same boxes with `pictures` (sorted, all of ours among them) as the list."""
        return self.named(self.pictures, pictures)

    def named(self, names: NDArray[np.str_], pictures: NDArray[np.str_]) -> Detections:
        """As `on`, with our pictures called `names` (M,) there."""
        place = np.searchsorted(pictures, names)
        return replace(
            self, pictures=pictures, truth_picture=place[self.truth_picture], picture=place[self.picture]
        )


def detections_of(boxes: Boxes) -> Detections:
    """From the rows of a table as `mlops.evaluation.samples.boxes` has them."""
    names, picture = np.unique(boxes.image, return_inverse=True)
    return _sorted(names, picture, boxes.truth, boxes.class_index, boxes.score, boxes.corners)


def read_detections(file: Path) -> tuple[Detections, dict[int, str]]:
    """The boxes of a `boxes.parquet`, and the class names that occur in it, by index.

    A million rows are read in a second, as a picture's name is turned into a number once and not for each
    row. Raises OSError, ValueError (pyarrow's errors are such) or KeyError for a file that is no such table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sides = ("x1", "y1", "x2", "y2")
    wanted = ["image", "kind", "class", "class_index", "score", *sides]
    table = pq.read_table(file, columns=wanted, read_dictionary=["image", "kind", "class"])
    missing = [name for name in wanted if name not in table.schema.names]
    if missing:
        raise KeyError(f"no column {missing[0]}")
    coded = {name: _codes(table[name], pa) for name in ("image", "kind", "class")}
    class_index = table["class_index"].to_numpy().astype(np.int64)
    kinds, kind = coded["kind"]
    named, class_code = coded["class"]
    detections = _sorted(
        *coded["image"],
        np.array([name == "truth" for name in kinds], np.bool_)[kind],
        class_index,
        table["score"].to_numpy(zero_copy_only=False).astype(np.float64),
        np.stack([table[side].to_numpy() for side in sides], axis=1).astype(np.float64),
    )
    index_of = np.full(len(named), -1)
    index_of[class_code] = class_index
    return detections, {int(index): str(name) for index, name in zip(index_of, named, strict=True)}


def _codes(column: object, pa: object) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """A dictionary column as (names, sorted) and each row's index among them."""
    whole = column.combine_chunks()  # type: ignore[attr-defined]
    if isinstance(whole, pa.ChunkedArray):  # type: ignore[attr-defined]
        whole = pa.concat_arrays(whole.chunks)  # type: ignore[attr-defined]
    names = np.array(whole.dictionary.to_pylist(), dtype=str)
    order = np.argsort(names, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    codes = whole.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return names[order], place[codes] if len(codes) else codes


def _sorted(
    names: NDArray[np.str_],
    picture: NDArray[np.int64],
    truth: NDArray[np.bool_],
    class_index: NDArray[np.int64],
    score: NDArray[np.float64],
    corners: NDArray[np.float64],
) -> Detections:
    given = np.flatnonzero(~truth)
    given = given[np.lexsort((picture[given], -score[given], class_index[given]))]
    return Detections(
        pictures=names,
        truth_picture=picture[truth],
        truth_class=class_index[truth],
        truth_box=corners[truth],
        picture=picture[given],
        class_index=class_index[given],
        score=score[given],
        box=corners[given],
    )
