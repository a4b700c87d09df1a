"""A version's ONNX file as what it is asked for: pictures in, probabilities or boxes out.

All that a caller must do to a picture stands in the version's preprocessing (tag `mlops.preprocessing`, or
the metadata of its MLflow model); it is done here as training does it. Needs numpy, Pillow, onnxruntime,
and OpenCV for detectors, whose training reads and resizes with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops.evaluation.prediction.found import Found, listed, on_picture, suppressed
from mlops.evaluation.prediction.preprocessing import AS_IT_IS, Flip, Picture, Prepared, Preprocessing

if TYPE_CHECKING:
    from numpy.typing import NDArray

CPU = ("CPUExecutionProvider",)
_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
_BATCH_VALUES = 16 * 3 * 640 * 640  # of one call of the model: what 16 pictures of 640 px take


class Predictor:
    """Runs one ONNX file; made by `open_onnx`. A classifier's has probabilities, a detector's has boxes, a
    joint one's both.
    """

    def __init__(self, session: Any, preprocessing: Preprocessing) -> None:
        self.session = session
        self.preprocessing = preprocessing
        entry = session.get_inputs()[0]
        if entry.type not in _DTYPES:
            raise ValueError(f"the model takes {entry.type}, which is no kind of float")
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
        """(N, classes) of N pictures, mirrored as `flip` says.

        Raises ValueError for a model without probabilities, or for what is no picture.
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
    ) -> Iterator[Found]:
        """The boxes of each picture, one after the other, in pixels of the picture as it is given.

        score, iou, most: in place of what the preprocessing says of NMS. several_classes: a place may be a
        box of each class that reaches `score`, as in validation, and not of its best class only. flip: what
        the model is shown.
        Raises ValueError for a model without boxes, or for what is no picture.
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
        """Batches of what was prepared, each with the model's outputs by name."""
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
    providers: Sequence[str] = CPU,
) -> Predictor:
    """Open an ONNX file of a version.

    preprocessing: as the tag `mlops.preprocessing` has it. None: what the file's own metadata say under
        `preprocessing`, else those of the MLflow model that it lies in.
    threads: ONNX Runtime's for one operator; 0 leaves it to ONNX Runtime (one a core).
    Raises ValueError for a file that cannot be run, or a preprocessing that is missing or not understood.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # onnxruntime raises classes of its own, one for each status
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
        raise ValueError(f"{path} does not say what is to be done to a picture: give its preprocessing")
    stated: Mapping[str, Any] = json.loads(held) if isinstance(held, str) else held
    return stated


def _there(name: str | None, what: str) -> str:
    if name is None:
        raise ValueError(f"the model gives no {what}")
    return name
