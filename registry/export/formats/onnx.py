"""ONNX: the version's graph, with its preprocessing as metadata and, for a detector, embedded NMS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from mlops.prediction.onnx_sessions import open_session
from registry.export.formats.contract import NotRun, Original, Precision, Session, file_name, first_line
from registry.export.formats.onnx_nms import OUTPUT, set_score, with_nms
from registry.export.formats.quantize import in_half, quantised

PREPROCESSING = "preprocessing"  # the key of the metadata, as read by `mlops.prediction`


class OnnxFormat:
    """See `Format`."""

    name = "onnx"
    precisions = (Precision.FP32, Precision.FP16, Precision.INT8)

    def make(self, source: Original, precision: Precision, folder: Path) -> Path:
        """fp16: weights and arithmetic in float16, inputs and outputs in float32. int8: see `quantize`."""
        model = _in_precision(source, precision, folder)
        said = dict(source.preprocessing)
        nms = said.get("nms")
        if nms and not nms["in_model"]:
            _, rows, anchors = _head(source)
            with_nms(
                model,
                classes=rows - 4,
                anchors=anchors,
                score=nms["score"],
                iou=nms["iou"],
                most=nms["most"],
            )
            said["nms"] = {**nms, "in_model": True}
            said["output"] = f"{OUTPUT} (batch, n, 6): x1, y1, x2, y2 in input pixels, score, class index"
        onnx.helper.set_model_props(
            model,
            {
                PREPROCESSING: json.dumps(said),
                "classes": json.dumps(said["classes"]),
                "nms": json.dumps(said.get("nms")),
                "precision": precision.value,
                "version": source.name,
            },
        )
        file = folder / file_name(precision, ".onnx")
        onnx.checker.check_model(model)
        onnx.save(model, str(file))
        return file

    def open(self, made: Path, *, score: float | None = None) -> Session:
        model: Path | bytes = made
        try:
            if score is not None:
                changed = onnx.load(str(made))
                if set_score(changed, score):
                    model = changed.SerializeToString()
            session: Session = open_session(model)
            return session
        except Exception as error:  # onnx and onnxruntime have their own exception class for each status
            raise NotRun(f"ONNX Runtime cannot load it: {first_line(error)}") from error

    def preprocessing_in(self, made: Path) -> Mapping[str, Any]:
        props = {
            each.key: each.value for each in onnx.load(str(made), load_external_data=False).metadata_props
        }
        said: Mapping[str, Any] = json.loads(props[PREPROCESSING])
        return said


def _in_precision(source: Original, precision: Precision, folder: Path) -> onnx.ModelProto:
    if precision is Precision.FP32:
        return onnx.load(str(source.onnx))
    if precision is Precision.FP16:
        return in_half(onnx.load(str(source.onnx)))
    return quantised(source.onnx, source.calibration, source.calibrates, folder)


def _head(source: Original) -> tuple[int, int, int]:
    """The shape of the raw head's output for one image, measured, as the file may not state it."""
    session = open_session(source.onnx)
    side = source.side
    grey = np.full((1, 3, side, side), 0.5, np.float32)
    answers = session.run(None, {session.get_inputs()[0].name: grey})
    head = next(answer for answer in answers if answer.ndim == 3)
    return head.shape[0], head.shape[1], head.shape[2]


def opset(file: Path) -> int:
    """Opset version of the standard operators in the file."""
    imported = onnx.load(str(file), load_external_data=False).opset_import
    return int(next(each.version for each in imported if each.domain in ("", "ai.onnx")))
