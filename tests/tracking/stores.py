"""What tests ask of a store, and a small model to log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run


def client_of(uri: str) -> MlflowClient:
    return MlflowClient(uri, registry_uri=uri)


def runs_of(uri: str, experiment: str) -> list[Run]:
    client = client_of(uri)
    found = client.get_experiment_by_name(experiment)
    return [] if found is None else list(client.search_runs([found.experiment_id]))


def curve(uri: str, run_id: str, name: str) -> list[tuple[int, float]]:
    """The (step, value) points of one metric, every one that the store holds."""
    return sorted((m.step, m.value) for m in client_of(uri).get_metric_history(run_id, name))


def save_tiny_model(folder: Path) -> Path:
    """An ONNX model that doubles its input, as an MLflow model folder."""
    import mlflow.onnx
    import numpy as np
    import onnx
    from mlflow.models import infer_signature
    from onnx import TensorProto, helper

    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 2]) for n in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", info[:1], info[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    example = np.ones((2, 2), np.float32)
    mlflow.onnx.save_model(
        model, str(folder), signature=infer_signature(example, 2 * example), pip_requirements=["onnxruntime"]
    )
    return folder


def doubled(uri: str, model_uri: str) -> Any:
    """What the model answers to a row of ones, loaded in the usual way."""
    import mlflow
    import numpy as np

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        answer = mlflow.pyfunc.load_model(model_uri).predict(np.ones((1, 2), np.float32))
    finally:
        mlflow.set_tracking_uri(before)
    return (answer["y"] if isinstance(answer, dict) else answer).tolist()
