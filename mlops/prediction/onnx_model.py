"""A version's ONNX file with its preprocessing: images in, probabilities or boxes out.

This file imports nothing of `mlops`: a copy of it is the code of every registered version (see
`mlops.prediction.mlflow_model`), which is loaded where this product is not installed.

The version's preprocessing (tag `mlops.preprocessing`, or the metadata of its MLflow model) states what to do
to an image; it is applied here exactly as in training. Needs numpy, Pillow and onnxruntime; for detectors
also OpenCV, as their training decodes and resizes with it.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from PIL import Image

Picture: TypeAlias = "Path | str | bytes | NDArray[np.uint8]"
Flip: TypeAlias = tuple[bool, bool]  # left to right, top to bottom
AS_IT_IS: Flip = (False, False)
_Way: TypeAlias = tuple[int, int, tuple[float, float], tuple[int, int]]  # height, width, gain, pad


@dataclass(frozen=True, slots=True)
class Prepared:
    """One preprocessed image, with the mapping back to its pixels.

    values: (3, side, side) float32. height, width: of the original image. gain: (x, y), model pixels per
    image pixel. pad: (left, top) in model pixels.
    """

    values: NDArray[np.float32]
    height: int
    width: int
    gain: tuple[float, float]
    pad: tuple[int, int]
    flip: Flip = AS_IT_IS

    def flipped(self, flip: Flip) -> Prepared:
        """Mirror the input of the model; boxes are mapped back to the original image."""
        sideways, upright = (slice(None, None, -1 if each else 1) for each in flip)
        return replace(self, values=self.values[:, upright, sideways], flip=flip)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How to prepare an image; see `open_onnx`. `nms`: score, iou, most and in_model; {} without boxes.

    classes: of the boxes, or of the images for a model without boxes. image_classes: of the images.
    """

    letterbox: bool
    side: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pad_value: int
    classes: tuple[str, ...]
    image_classes: tuple[str, ...]
    nms: Mapping[str, Any]

    @classmethod
    def of(cls, stated: Mapping[str, Any]) -> Preprocessing:
        """Raises ValueError if a value is missing or not supported."""
        try:
            known = {"resize": ("letterbox", "stretch"), "interpolation": ("bilinear",)}
            known |= {"colour_order": ("RGB",), "layout": ("NCHW",)}
            for key, allowed in known.items():
                if stated[key] not in allowed:
                    raise ValueError(
                        f"the preprocessing's {key} is {stated[key]!r}; allowed: {' or '.join(allowed)}"
                    )
            return cls(
                letterbox=stated["resize"] == "letterbox",
                side=int(stated["side"]),
                scale=float(stated["scale"]),
                mean=tuple(float(each) for each in stated["mean"]),
                std=tuple(float(each) for each in stated["std"]),
                pad_value=int(stated.get("pad_value", 114)),
                classes=tuple(str(each) for each in stated["classes"]),
                image_classes=tuple(str(each) for each in stated.get("image_classes", stated["classes"])),
                nms=dict(stated.get("nms") or {}),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"invalid preprocessing: {error!r}") from error

    def prepare(self, picture: Picture) -> Prepared:
        """Raises ValueError if it is not an image, OSError for an unreadable file."""
        if self.letterbox:
            square, prepared = _letterboxed(picture, self.side, self.pad_value)
        else:
            square, prepared = _stretched(picture, self.side)
        values = square.transpose(2, 0, 1).astype(np.float32) * np.float32(self.scale)
        if any(self.mean) or any(each != 1 for each in self.std):
            mean, std = (np.asarray(each, np.float32).reshape(3, 1, 1) for each in (self.mean, self.std))
            values = (values - mean) / std
        height, width, gain, pad = prepared
        return Prepared(np.ascontiguousarray(values, np.float32), height, width, gain, pad)


def _stretched(picture: Picture, side: int) -> tuple[NDArray[np.uint8], _Way]:
    """As in a classifier's training: decoded and resized by Pillow, with its antialiasing."""
    from PIL import Image

    if isinstance(picture, np.ndarray):
        opened = Image.fromarray(picture)
    else:
        source = io.BytesIO(picture) if isinstance(picture, bytes) else picture
        try:
            opened = Image.open(source)
            opened.load()
        except (OSError, ValueError, SyntaxError, ImportError) as error:  # ImportError: a decoder is missing
            raise ValueError(f"{_named(picture)} is not a readable image: {error}") from error
    square = _rgb(opened).resize((side, side), Image.Resampling.BILINEAR)
    gain = side / opened.width, side / opened.height
    return np.asarray(square, np.uint8), (opened.height, opened.width, gain, (0, 0))


def _rgb(opened: Image.Image) -> Image.Image:
    """RGB, 8 bits a channel; of 16-bit grey the upper 8 bits, as `mlops.data.pixels.as_rgb`."""
    from PIL import Image

    if opened.mode.startswith("I;16"):
        opened = Image.fromarray((np.asarray(opened) // 256).astype(np.uint8))
    return opened.convert("RGB")


def _letterboxed(picture: Picture, side: int, value: int) -> tuple[NDArray[np.uint8], _Way]:
    """As in a detector's training: the longer side becomes `side`, the other is padded on both sides."""
    import cv2

    rgb = _decoded(picture)
    height, width = rgb.shape[:2]
    ratio = side / max(height, width)
    new_width, new_height = min(math.ceil(width * ratio), side), min(math.ceil(height * ratio), side)
    if ratio != 1:
        size = (new_width, new_height)
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    left, top = round((side - new_width) / 2 - 0.1), round((side - new_height) / 2 - 0.1)
    square = np.full((side, side, 3), value, np.uint8)
    square[top : top + new_height, left : left + new_width] = rgb
    return square, (height, width, (new_width / width, new_height / height), (left, top))


def _decoded(picture: Picture) -> NDArray[np.uint8]:
    """(H, W, 3) RGB, upright."""
    import cv2

    if isinstance(picture, np.ndarray):
        return picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)
    held = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
    bgr = cv2.imdecode(np.frombuffer(held, np.uint8), cv2.IMREAD_COLOR) if held else None
    if bgr is None:
        raise ValueError(f"{_named(picture)} is not a readable image")
    rgb: NDArray[np.uint8] = np.ascontiguousarray(bgr[:, :, ::-1])
    return rgb


def _named(picture: Picture) -> str:
    return "the bytes given" if isinstance(picture, bytes) else str(picture)


_BLOCK = 256


def keep_surest(
    corners: NDArray[np.float32],
    score: NDArray[np.float32],
    class_index: NDArray[np.int64],
    iou: float,
    most: int,
) -> NDArray[np.int64]:
    """Non-maximum suppression: row numbers of at most `most` boxes, highest score first.

    corners (N, 4) x1, y1, x2, y2; score, class_index (N,). A box is removed if a kept box of its class with a
    higher score overlaps it by more than `iou`: greedy, with the same result as torchvision.ops.nms.
    Processes 256 boxes at a time and stops at `most`, so thousands of boxes with low scores cost little.
    """
    order = np.argsort(-score, kind="stable")
    kept = np.zeros(0, np.int64)
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        block = block[~_hidden(corners, class_index, block, kept, iou).any(1)]
        hides = np.triu(_hidden(corners, class_index, block, block, iou), 1)  # a row suppresses later columns
        stays = np.ones(len(block), np.bool_)
        for index in range(len(block)):
            if stays[index]:
                stays &= ~hides[index]
        kept = np.concatenate([kept, block[stays]])
        if len(kept) >= most:
            break
    return kept[:most]


def _hidden(
    corners: NDArray[np.float32],
    class_index: NDArray[np.int64],
    rows: NDArray[np.int64],
    by: NDArray[np.int64],
    iou: float,
) -> NDArray[np.bool_]:
    """(rows, by): overlapping by more than `iou`, and of one class."""
    a, b = corners[rows], corners[by]
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    across = np.clip(np.minimum(a[:, None, 2:], b[None, :, 2:]) - low, 0, None)
    shared = across[..., 0] * across[..., 1]
    area_a, area_b = ((each[:, 2] - each[:, 0]) * (each[:, 3] - each[:, 1]) for each in (a, b))
    union = area_a[:, None] + area_b[None, :] - shared
    same = class_index[rows][:, None] == class_index[by][None, :]
    hidden: NDArray[np.bool_] = same & (shared > iou * np.maximum(union, 1e-12))
    return hidden


@dataclass(frozen=True, slots=True)
class PredictedBoxes:
    """The boxes on one image, highest score first.

    corners: (n, 4) float32, x1, y1, x2, y2 in pixels of the original image. score: (n,) float32.
    class_index: (n,) int64. height, width: of the image.
    """

    corners: NDArray[np.float32]
    score: NDArray[np.float32]
    class_index: NDArray[np.int64]
    height: int = 0
    width: int = 0

    def __len__(self) -> int:
        return len(self.score)


def suppressed(
    rows: NDArray[np.float32], score: float, iou: float, most: int, several_classes: bool
) -> PredictedBoxes:
    """Decode and suppress the raw head of one image, (4 + classes, anchors), in model pixels."""
    rows = rows[:, rows[4:].max(0) > score]
    half = rows[2:4] / 2
    corners = np.concatenate([rows[:2] - half, rows[:2] + half]).T
    if several_classes:
        at, classes = np.nonzero(score < rows[4:].T)
    else:
        at, classes = np.arange(rows.shape[1]), rows[4:].argmax(0)
    scores = rows[4 + classes, at]
    kept = keep_surest(corners[at], scores, classes, iou, most)
    return PredictedBoxes(corners[at][kept], scores[kept], classes[kept].astype(np.int64))


def listed(rows: NDArray[np.float32], score: float, most: int) -> PredictedBoxes:
    """From a model with embedded NMS, (n, 6): x1, y1, x2, y2, score, class, highest score first."""
    rows = rows[rows[:, 4] > score][:most]
    return PredictedBoxes(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))


def on_picture(found: PredictedBoxes, prepared: Prepared) -> PredictedBoxes:
    """From model pixels, mirrored or not, to image pixels."""
    side, corners = prepared.values.shape[-1], found.corners.copy()
    for axis, mirrored in enumerate(prepared.flip):
        if mirrored:
            corners[:, [axis, axis + 2]] = side - corners[:, [axis + 2, axis]]
    pad, gain = np.tile(prepared.pad, 2), np.tile(prepared.gain, 2)
    edge = np.array([prepared.width, prepared.height] * 2, np.float32)
    corners = np.clip((corners - pad) / gain, 0, edge).astype(np.float32)
    return replace(found, corners=corners, height=prepared.height, width=prepared.width)


CPU = ("CPUExecutionProvider",)
_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
_BATCH_VALUES = 16 * 3 * 640 * 640  # maximum input of one call: 16 images of 640 px


class Predictor:
    """Runs one ONNX file; created by `open_onnx`. A classifier has probabilities, a detector has boxes, a
    joint model has both.
    """

    def __init__(self, session: Any, preprocessing: Preprocessing) -> None:
        self.session = session
        self.preprocessing = preprocessing
        entry = session.get_inputs()[0]
        if entry.type not in _DTYPES:
            raise ValueError(f"the model's input is {entry.type}; expected {', '.join(_DTYPES)}")
        self._input, self._dtype = entry.name, _DTYPES[entry.type]
        most = entry.shape[0]
        room = max(1, _BATCH_VALUES // (3 * preprocessing.side**2))
        self._batch = most if isinstance(most, int) and most > 0 else min(64, room)
        by_rank = {len(output.shape): output.name for output in session.get_outputs()}
        self._boxes, self._probabilities = by_rank.get(3), by_rank.get(2)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.preprocessing.classes

    @property
    def image_classes(self) -> tuple[str, ...]:
        return self.preprocessing.image_classes

    @property
    def has_boxes(self) -> bool:
        return self._boxes is not None

    @property
    def has_probabilities(self) -> bool:
        return self._probabilities is not None

    def probabilities(self, pictures: Iterable[Picture], *, flip: Flip = AS_IT_IS) -> NDArray[np.float32]:
        """(N, classes) for N images, mirrored by `flip`.

        Raises ValueError for a model without probabilities, or if something is not an image.
        """
        name = _there(self._probabilities, "probabilities")
        rows = [raw[name] for _, raw in self.run(self._prepared(pictures, flip))]
        if not rows:
            return np.zeros((0, len(self.image_classes)), np.float32)
        return np.concatenate(rows).astype(np.float32)

    def boxes(
        self,
        pictures: Iterable[Picture],
        *,
        score: float | None = None,
        iou: float | None = None,
        most: int | None = None,
        several_classes: bool = False,
        flip: Flip = AS_IT_IS,
    ) -> Iterator[PredictedBoxes]:
        """The boxes of each image, in order, in pixels of the original image.

        score, iou, most: replace the NMS settings of the preprocessing. several_classes: an anchor may give a
        box for each class that reaches `score`, as in validation, not only for its best class. flip: mirror
        the model's input.
        Raises ValueError for a model without boxes, or if something is not an image.
        """
        name = _there(self._boxes, "boxes")
        stated = self.preprocessing.nms
        limit = float(stated.get("score", 0.25)) if score is None else score
        overlap = float(stated.get("iou", 0.7)) if iou is None else iou
        top = int(stated.get("most", 300)) if most is None else most
        for batch, raw in self.run(self._prepared(pictures, flip)):
            for prepared, rows in zip(batch, raw[name].astype(np.float32), strict=True):
                if stated.get("in_model"):
                    found = listed(rows, limit, top)
                else:
                    found = suppressed(rows, limit, overlap, top, several_classes)
                yield on_picture(found, prepared)

    def _prepared(self, pictures: Iterable[Picture], flip: Flip) -> Iterator[Prepared]:
        for picture in pictures:
            prepared = self.preprocessing.prepare(picture)
            yield prepared.flipped(flip) if any(flip) else prepared

    def run(
        self, prepared: Iterable[Prepared]
    ) -> Iterator[tuple[list[Prepared], dict[str, NDArray[np.float32]]]]:
        """Batches of preprocessed images, each with the model's outputs by name."""
        names = [output.name for output in self.session.get_outputs()]
        left = iter(prepared)
        while batch := list(islice(left, self._batch)):
            values = np.stack([each.values for each in batch]).astype(self._dtype)
            yield batch, dict(zip(names, self.session.run(names, {self._input: values}), strict=True))


def open_onnx(
    path: Path,
    preprocessing: Mapping[str, Any] | None = None,
    *,
    threads: int = 0,
    spinning: bool = True,
    providers: Sequence[str] = CPU,
) -> Predictor:
    """Open an ONNX file of a version.

    preprocessing: as in the tag `mlops.preprocessing`. None: read it from the file's metadata
        (`preprocessing`), else from the MLflow model in the same folder.
    threads: ONNX Runtime's intra-op threads; 0: its default (one per core).
    spinning: threads that wait for each other keep a processor busy, which is faster for single images on an
        idle machine, and slower beside other work.
    Raises ValueError for a file that cannot be run, or a missing or unsupported preprocessing.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # onnxruntime has its own exception class for each status
        raise ValueError(f"{path} cannot be run: {str(error).splitlines()[0]}") from error
    stated = preprocessing if preprocessing is not None else _stated(session, Path(path))
    return Predictor(session, Preprocessing.of(stated))


def _stated(session: Any, path: Path) -> Mapping[str, Any]:
    held = session.get_modelmeta().custom_metadata_map.get("preprocessing")
    if held is None and (path.parent / "MLmodel").is_file():
        import yaml

        model = yaml.safe_load((path.parent / "MLmodel").read_text(encoding="utf-8"))
        held = (model.get("metadata") or {}).get("preprocessing")
    if held is None:
        raise ValueError(f"{path} has no preprocessing in its metadata; pass it as `preprocessing`")
    stated: Mapping[str, Any] = json.loads(held) if isinstance(held, str) else held
    return stated


def _there(name: str | None, what: str) -> str:
    if name is None:
        raise ValueError(f"the model does not output {what}")
    return name


T = TypeVar("T")

COLUMN = "image"
_BASE64 = re.compile(rb"[A-Za-z0-9+/\s]+={0,2}\s*")  # no image file matches it


class ServedPictures:
    """The model that MLflow calls. One row per image; see `docs/serving.md` for the columns."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def predict(self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """model_input: the column `image`, each an image file as bytes or base64.

        params: `score`, `iou` and `most` replace the version's values, for a model with boxes.
        Raises MlflowException (HTTP status 400) with the row if it is not an image.
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

    def _found(self, pictures: Sequence[Any], params: dict[str, Any]) -> list[PredictedBoxes]:
        asked = {name: params[name] for name in ("score", "iou", "most") if params.get(name) is not None}
        return _answered(pictures, lambda read: list(self._predictor.boxes(read, **asked)))

    def _probable(self, pictures: Sequence[Any]) -> NDArray[np.float32]:
        return _answered(pictures, self._predictor.probabilities)


def _answered(pictures: Sequence[Any], answer: Callable[[Iterable[bytes]], T]) -> T:
    """The result of `answer` for the images; an error names the row of the image."""
    from mlflow.exceptions import MlflowException
    from PIL import Image

    row = 0

    def read() -> Iterator[bytes]:
        nonlocal row
        for row, picture in enumerate(pictures):  # noqa: B007 - named in an error
            yield _bytes(picture)

    try:
        return answer(read())
    except (ValueError, OSError, Image.DecompressionBombError) as error:
        raise MlflowException.invalid_parameter_value(f"{COLUMN} of row {row}: {error}") from error


def _bytes(picture: Any) -> bytes:
    """The bytes of an image file; some of MLflow's formats do not decode base64."""
    if isinstance(picture, str):
        picture = picture.encode()
    if not isinstance(picture, bytes) or not picture:
        raise ValueError(f"expected an image file as bytes or base64, got {type(picture).__name__}")
    if _BASE64.fullmatch(picture):
        try:
            return base64.b64decode(picture)
        except binascii.Error as error:
            raise ValueError(f"not valid base64: {error}") from error
    return bytes(picture)


def _boxes(found: PredictedBoxes, classes: tuple[str, ...]) -> dict[str, object]:
    return {
        "boxes": found.corners.astype(float).tolist(),
        "scores": found.score.astype(float).tolist(),
        "classes": [classes[index] for index in found.class_index],
    }


def _classed(values: NDArray[np.float32], classes: tuple[str, ...]) -> dict[str, object]:
    probabilities = dict(zip(classes, values.astype(float).tolist(), strict=True))
    surest = classes[int(values.argmax())]
    return {"class": surest, "probability": probabilities[surest], "probabilities": probabilities}
