"""An ONNX graph in fewer bits: fp16, and int8 by static quantisation (QDQ) calibrated on train images."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import ModelProto
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH = 8
_HEAVY = ("Conv", "Gemm", "MatMul")


def in_half(model: ModelProto) -> ModelProto:
    """`model` with weights and arithmetic in float16. Inputs, outputs and the nodes after the last layer with
    weights stay float32, as float16 is too imprecise for the pixels of a detector's decoding.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about weights that underflow in float16
        half: ModelProto = convert_float_to_float16(
            model, keep_io_types=True, node_block_list=sorted(tail(model))
        )
    _drop_second_casts(half)
    ordered = OnnxModel(half)
    ordered.topological_sort()  # casts were put at the end
    return half


def _drop_second_casts(model: ModelProto) -> None:
    """Remove duplicate casts of a value that several float32 nodes read."""
    seen: set[str] = set()
    for node in list(model.graph.node):
        if node.op_type == "Cast" and node.output[0] in seen:
            model.graph.node.remove(node)
        seen.update(node.output)


def quantised(
    file: Path, pictures: Callable[[], Iterator[NDArray[np.float32]]], count: int, scratch: Path
) -> ModelProto:
    """`file` with 8-bit weights (signed, one scale per channel) and activations (unsigned, one per tensor).

    The scales of activations are calibrated on `count` images, (3, side, side) each: from the central
    99.999 % of values, as outliers would cost precision; or from the whole range if a layer's output is too
    constant for a histogram. The nodes after the last layer with weights stay float32. Scratch files are
    removed.
    """
    prepared, out = scratch / ".prepared.onnx", scratch / ".quantised.onnx"
    before = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it logs every node that it skips
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            quant_pre_process(str(file), str(prepared), skip_symbolic_shape=True)
            try:
                _quantise(prepared, out, pictures(), count, CalibrationMethod.Percentile)
            except ValueError:
                _quantise(prepared, out, pictures(), count, CalibrationMethod.MinMax)
            return onnx.load(str(out))
    finally:
        logging.root.setLevel(before)
        prepared.unlink(missing_ok=True)
        out.unlink(missing_ok=True)


def _quantise(
    prepared: Path, out: Path, pictures: Iterator[NDArray[np.float32]], count: int, method: CalibrationMethod
) -> None:
    model = onnx.load(str(prepared))
    quantize_static(
        str(prepared),
        str(out),
        _Pictures(model.graph.input[0].name, pictures, count),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,  # 7-bit weights: processors without VNNI saturate when 8-bit products are added up
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=sorted(tail(model)),
        calibrate_method=method,
        extra_options={"CalibStridedMinMax": 1},  # a batch's activations in memory at a time
    )


def tail(model: ModelProto) -> set[str]:
    """Names of the nodes after the last layer with weights: softmax, or a detector's decoding.

    YOLO's convolution to one channel (the mean of its distance distribution) counts as decoding.
    """
    weights = {each.name: each.dims for each in model.graph.initializer}
    feeds: set[str] = set()  # tensors that a later layer with weights reads
    after: set[str] = set()
    for node in reversed(model.graph.node):
        shape = weights.get(node.input[1]) if node.op_type in _HEAVY else None
        if (shape and shape[0] != 1) or feeds & set(node.output):
            feeds |= set(node.input)
        else:
            after.add(node.name)
    return after


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    """Batches of equal size, as histograms are combined; an incomplete last batch is dropped."""

    def __init__(self, name: str, pictures: Iterator[NDArray[np.float32]], count: int) -> None:
        self._name, self._pictures = name, pictures
        self._batch = min(_BATCH, count)
        self._batches, self._left = count // self._batch, 0

    def __len__(self) -> int:
        return self._batches

    def set_range(self, start_index: int, end_index: int) -> None:
        self._left = end_index - start_index

    def get_next(self) -> dict[str, Any] | None:
        if not self._left:
            return None
        self._left -= 1
        return {self._name: np.stack(list(islice(self._pictures, self._batch)))}
