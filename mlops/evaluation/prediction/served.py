"""A version behind MLflow's `pyfunc`: pictures as bytes in, what its ONNX file says of them out.

This file and those that it imports travel inside the model's folder (`mlops.search.travelling`), so that a
version can be loaded and served where this product is not installed. It opens `model.onnx` and no pickle.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mlops.evaluation.prediction.found import Found
from mlops.evaluation.prediction.predictor import Predictor, open_onnx

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

T = TypeVar("T")

COLUMN = "image"
_BASE64 = re.compile(rb"[A-Za-z0-9+/\s]+={0,2}\s*")  # no picture's file reads like that


class ServedPictures:
    """What MLflow calls. One row a picture; see `docs/serving.md` for the columns."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def predict(self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """model_input: the column `image`, each a picture's file as bytes, or as base64.

        params: `score`, `iou` and `most` in place of what the version states, for a model that finds boxes.
        Raises MlflowException (the server's status 400) for what is no picture, with its row.
        """
        import pandas as pd

        rows: list[dict[str, object]] = [{} for _ in range(len(model_input))]
        pictures = list(model_input[COLUMN])
        if self._predictor.has_boxes:
            for row, found in zip(rows, self._found(pictures, dict(params or {})), strict=True):
                row |= _boxes(found, self._predictor.classes)
        if self._predictor.has_probabilities:
            for row, values in zip(rows, self._probable(pictures), strict=True):
                row |= _classed(values, self._predictor.image_classes)
        return pd.DataFrame(rows)

    def _found(self, pictures: Sequence[Any], params: dict[str, Any]) -> list[Found]:
        asked = {name: params[name] for name in ("score", "iou", "most") if params.get(name) is not None}
        return _answered(pictures, lambda read: list(self._predictor.boxes(read, **asked)))

    def _probable(self, pictures: Sequence[Any]) -> NDArray[np.float32]:
        return _answered(pictures, self._predictor.probabilities)


def _answered(pictures: Sequence[Any], answer: Callable[[Iterable[bytes]], T]) -> T:
    """What `answer` says of the pictures; an error that one of them brings names its row."""
    from mlflow.exceptions import MlflowException
    from PIL import Image

    row = 0

    def read() -> Iterator[bytes]:
        nonlocal row
        for row, picture in enumerate(pictures):  # noqa: B007 - what an error is said of
            yield _bytes(picture)

    try:
        return answer(read())
    except (ValueError, OSError, Image.DecompressionBombError) as error:
        raise MlflowException.invalid_parameter_value(f"{COLUMN} of row {row}: {error}") from error


def _bytes(picture: Any) -> bytes:
    """The file of a picture; some of MLflow's formats leave base64 as it is."""
    if isinstance(picture, str):
        picture = picture.encode()
    if not isinstance(picture, bytes) or not picture:
        raise ValueError(f"a picture's file as bytes or base64 is asked for, not {type(picture).__name__}")
    if _BASE64.fullmatch(picture):
        try:
            return base64.b64decode(picture)
        except binascii.Error as error:
            raise ValueError(f"no base64: {error}") from error
    return bytes(picture)


def _boxes(found: Found, classes: tuple[str, ...]) -> dict[str, object]:
    return {
        "boxes": found.corners.astype(float).tolist(),
        "scores": found.score.astype(float).tolist(),
        "classes": [classes[index] for index in found.class_index],
    }


def _classed(values: NDArray[np.float32], classes: tuple[str, ...]) -> dict[str, object]:
    probabilities = dict(zip(classes, values.astype(float).tolist(), strict=True))
    surest = classes[int(values.argmax())]
    return {"class": surest, "probability": probabilities[surest], "probabilities": probabilities}


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> ServedPictures:
    """MLflow's way in. path: the ONNX file. model_config: `threads` of one operator, 0 for one a core."""
    threads = int((model_config or {}).get("threads", 0))
    return ServedPictures(open_onnx(Path(path), threads=threads))
