"""An ONNX graph in fewer bits: fp16, and int8 by static quantisation (QDQ) calibrated on train pictures."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
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

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALIBRATION_PICTURES = 200
_BATCH = 8
_HEAVY = ("Conv", "Gemm", "MatMul")


def in_half(model: ModelProto) -> ModelProto:
    """`model` with weights and arithmetic in float16; inputs, outputs and what follows the last layer with
    weights (a detector's decoding, whose pixels float16 has too few digits for) stay float32.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights nearer to 0 than float16 goes
        given: ModelProto = convert_float_to_float16(
            model, keep_io_types=True, node_block_list=sorted(tail(model))
        )
    return given


def quantised(file: Path, pictures: Iterator[NDArray[np.float32]], scratch: Path) -> ModelProto:
    """`file` with 8-bit weights (signed, one scale a channel) and activations (unsigned, one a tensor).

    The scales of activations come from what `pictures`, (3, side, side) each, bring about; what follows the
    last layer with weights stays float32. Scratch files are removed.
    """
    prepared, out = scratch / ".prepared.onnx", scratch / ".quantised.onnx"
    before = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it tells of each thing that it leaves alone
    try:
        quant_pre_process(str(file), str(prepared), skip_symbolic_shape=True)
        model = onnx.load(str(prepared))
        quantize_static(
            str(prepared),
            str(out),
            _Pictures(model.graph.input[0].name, pictures),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=sorted(tail(model)),
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load(str(out))
    finally:
        logging.root.setLevel(before)
        prepared.unlink(missing_ok=True)
        out.unlink(missing_ok=True)


def tail(model: ModelProto) -> set[str]:
    """Names of the nodes after the last layer with weights: softmax, or a detector's decoding.

    A convolution to one channel, by which YOLO takes the mean of its distribution of distances, counts as
    decoding.
    """
    weights = {each.name: each.dims for each in model.graph.initializer}
    feeds: set[str] = set()  # tensors that some layer with weights is still to read
    after: set[str] = set()
    for node in reversed(model.graph.node):
        channels = [weights[name][0] for name in node.input[1:2] if name in weights]
        layer = node.op_type in _HEAVY and channels != [1] and bool(channels)
        if layer or feeds & set(node.output):
            feeds |= set(node.input)
        else:
            after.add(node.name)
    return after


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, pictures: Iterator[NDArray[np.float32]]) -> None:
        self._name, self._pictures = name, pictures

    def get_next(self) -> dict[str, Any] | None:
        batch = list(islice(self._pictures, _BATCH))
        return {self._name: np.stack(batch)} if batch else None
