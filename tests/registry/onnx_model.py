"""A tiny ONNX file: the mean of each colour of pictures of 8 x 8."""

from __future__ import annotations

from pathlib import Path


def write_onnx(file: Path, side: int | str = 8) -> Path:
    """Takes (batch, 3, side, side) float32, gives (batch, 3)."""
    import onnx
    from onnx import TensorProto, helper

    entry = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, side, side])
    leave = helper.make_tensor_value_info("colours", TensorProto.FLOAT, ["batch", 3])
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    node = helper.make_node("ReduceMean", ["images", "axes"], ["colours"], keepdims=0)
    graph = helper.make_graph([node], "means", [entry], [leave], [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(file))
    return file
