"""Private names of other libraries: used in one file a library, and there in the installed version.

When an upgrade breaks one of these tests, the failing case names the library and the attribute; the file to
change is `*_internals.py`.
"""

from __future__ import annotations

import ast
import importlib
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from tests.structure.test_names import modules

NAMES = [
    ("mlflow", "mlflow.store.tracking.sqlalchemy_store", "SqlAlchemyStore.get_metric_history_bulk"),
    ("mlflow", "mlflow.store.tracking.rest_store", "RestStore"),
    ("mlflow", "mlflow.utils.rest_utils", "http_request"),
    ("mlflow", "mlflow.tracking.request_auth.registry", "_request_auth_provider_registry.register"),
    ("optuna", "optuna.trial", "Trial"),
    ("torch", "torch", "_C.PyTorchFileReader.get_record"),
    ("ultralytics", "ultralytics.models.yolo.detect", "DetectionTrainer._setup_train"),
    ("ultralytics", "ultralytics.models.yolo.detect", "DetectionTrainer._do_train"),
    ("ultralytics", "ultralytics.models.yolo.detect", "DetectionTrainer._close_dataloader_mosaic"),
    ("ultralytics", "ultralytics.models.yolo.detect", "DetectionTrainer._handle_nan_recovery"),
    ("ultralytics", "ultralytics.models.yolo.detect", "DetectionTrainer._build_train_pipeline"),
    ("ultralytics", "ultralytics.models.yolo.detect", "DetectionValidator._process_batch"),
    ("ultralytics", "ultralytics.nn.tasks", "DetectionModel._predict_once"),
]


def there(module: str, path: str) -> Any:
    return reduce(getattr, path.split("."), importlib.import_module(module))


@pytest.mark.parametrize(("library", "module", "path"), NAMES, ids=[f"{m}.{p}" for _, m, p in NAMES])
def test_a_private_name_that_we_use_is_there(library: str, module: str, path: str) -> None:
    try:
        there(module, path)
    except AttributeError as error:
        version = importlib.import_module(library).__version__
        pytest.fail(f"{library} {version} has no {module}.{path}: {error}")


def test_a_client_of_mlflow_has_the_store_that_we_read(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert hasattr(client._tracking_client.store, "get_metric_history_bulk")


def test_a_frozen_trial_of_optuna_has_the_id_that_we_read() -> None:
    import optuna

    study = optuna.create_study()
    study.add_trial(optuna.trial.create_trial(value=1.0))
    assert isinstance(study.trials[0]._trial_id, int)


def test_no_other_file_reads_a_private_attribute_of_a_library() -> None:
    """A private attribute that no class or function of ours defines belongs to somebody else."""
    trees = {name: ast.parse(file.read_text()) for name, file in modules().items()}
    ours = {"_replace"}  # of named tuples, and public
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                ours.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                ours.add(node.attr)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                ours.add(node.target.id)
    foreign = [
        f"{name}:{node.lineno} {ast.unparse(node)}"
        for name, tree in trees.items()
        if not name.endswith("_internals")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and node.attr not in ours
        and ast.unparse(node) != "os._exit"
    ]
    assert foreign == []


def test_no_other_file_overrides_a_private_method_of_ultralytics() -> None:
    from mlops.training.detection import box_validator, ultralytics_loop
    from mlops.training.joint import joint_loop, joint_metrics, joint_network

    overridden = []
    for module in (box_validator, ultralytics_loop, joint_loop, joint_metrics, joint_network):
        for kind in vars(module).values():
            if isinstance(kind, type) and kind.__module__ == module.__name__:
                theirs = [base for base in kind.__mro__ if base.__module__.startswith("ultralytics.")]
                names = [name for name in vars(kind) if name.startswith("_") and not name.startswith("__")]
                overridden += [
                    f"{kind.__name__}.{n}" for n in names if any(n in vars(base) for base in theirs)
                ]
    assert overridden == []
