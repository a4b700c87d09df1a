"""Non-maximum suppression at the end of an ONNX graph, with standard operators only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto

OUTPUT, SCORE, IOU = "boxes", "score_threshold", "iou_threshold"


def with_nms(
    model: ModelProto, *, classes: int, anchors: int, score: float, iou: float, most: int
) -> ModelProto:
    """Add NMS after the raw head of `model`, in place.

    The head's output, (batch, 4 + classes, anchors) of centre x, y, width, height in input pixels and class
    scores, becomes `boxes`, (batch, n, 6): x1, y1, x2, y2, score, class index, highest score first, with
    n = min(most, classes * anchors). A row with score 0 is padding. Each anchor gives one box, of its best
    class; of two boxes of a class whose IoU exceeds `iou` the one with the lower score is removed. Other
    outputs are unchanged.
    """
    raw = next(output for output in model.graph.output if len(output.type.tensor_type.shape.dim) == 3)
    rows = min(most, classes * anchors)
    constants: dict[str, NDArray[Any]] = {
        SCORE: np.array([score], np.float32),
        IOU: np.array([iou], np.float32),
        "nms/most": np.array([most], np.int64),
        "nms/parts": np.array([4, classes], np.int64),
        "nms/classes": np.arange(classes, dtype=np.int64).reshape(1, classes, 1),
        "nms/flat": np.array([0, -1], np.int64),
        "nms/rows": np.array([rows], np.int64),
        "nms/anchors": np.array(anchors, np.int64),
        "nms/column": np.array([0, rows, 1], np.int64),
        "nms/four": np.array([1, 1, 4], np.int64),
        "nms/two_and_two": np.array([2, 2], np.int64),
        "nms/half": np.array(0.5, np.float32),
    }
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    model.graph.node.extend(_nodes(raw.name))
    model.graph.output.remove(raw)
    model.graph.output.insert(0, helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", rows, 6]))
    return model


def set_score(model: ModelProto, score: float) -> bool:
    """Set the score threshold of the NMS in `model`, in place; False if it has no NMS."""
    held = [each for each in model.graph.initializer if each.name == SCORE]
    for each in held:
        each.CopyFrom(numpy_helper.from_array(np.array([score], np.float32), SCORE))
    return bool(held)


def _nodes(raw: str) -> list[NodeProto]:
    def node(kind: str, takes: list[str], gives: list[str], **attributes: Any) -> NodeProto:
        return helper.make_node(kind, takes, gives, name=f"nms/{gives[0]}", **attributes)

    return [
        node("Split", [raw, "nms/parts"], ["nms/centres", "nms/scores"], axis=1),
        node("Transpose", ["nms/centres"], ["nms/places"], perm=[0, 2, 1]),
        # only the best class of each anchor
        node("ArgMax", ["nms/scores"], ["nms/best"], axis=1, keepdims=1),
        node("Equal", ["nms/best", "nms/classes"], ["nms/is_best"]),
        node("Cast", ["nms/is_best"], ["nms/is_best_float"], to=TensorProto.FLOAT),
        node("Mul", ["nms/scores", "nms/is_best_float"], ["nms/best_scores"]),
        node(
            "NonMaxSuppression",
            ["nms/places", "nms/best_scores", "nms/most", IOU, SCORE],
            ["nms/kept"],  # (m, 3): picture, class, anchor
            center_point_box=1,
        ),
        # the scores of those kept, 0 for all others, and the highest of each image
        node("GatherND", ["nms/best_scores", "nms/kept"], ["nms/kept_scores"]),
        node("Shape", ["nms/best_scores"], ["nms/shape"]),
        node("ConstantOfShape", ["nms/shape"], ["nms/zeros"]),
        node("ScatterND", ["nms/zeros", "nms/kept", "nms/kept_scores"], ["nms/all"]),
        node("Reshape", ["nms/all", "nms/flat"], ["nms/row_of_all"]),
        node("TopK", ["nms/row_of_all", "nms/rows"], ["nms/top", "nms/top_at"], axis=1),
        node("Div", ["nms/top_at", "nms/anchors"], ["nms/top_class"]),
        node("Mod", ["nms/top_at", "nms/anchors"], ["nms/top_anchor"]),
        # their corners
        node("Reshape", ["nms/top_anchor", "nms/column"], ["nms/top_anchor_column"]),
        node("Tile", ["nms/top_anchor_column", "nms/four"], ["nms/top_anchor_of_four"]),
        node("GatherElements", ["nms/places", "nms/top_anchor_of_four"], ["nms/top_places"], axis=1),
        node("Split", ["nms/top_places", "nms/two_and_two"], ["nms/middle", "nms/size"], axis=2),
        node("Mul", ["nms/size", "nms/half"], ["nms/half_size"]),
        node("Sub", ["nms/middle", "nms/half_size"], ["nms/low"]),
        node("Add", ["nms/middle", "nms/half_size"], ["nms/high"]),
        node("Reshape", ["nms/top", "nms/column"], ["nms/top_column"]),
        node("Cast", ["nms/top_class"], ["nms/top_class_float"], to=TensorProto.FLOAT),
        node("Reshape", ["nms/top_class_float", "nms/column"], ["nms/class_column"]),
        node("Concat", ["nms/low", "nms/high", "nms/top_column", "nms/class_column"], [OUTPUT], axis=2),
    ]
