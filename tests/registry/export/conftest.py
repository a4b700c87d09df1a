"""Versions to export: trained once a session, registered anew for each test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlops.store.client import connect
from registry.export.export import Exported, ExportRequest, export_version
from registry.export.formats.contract import Precision
from tests.registry.export import trained
from tests.registry.export.trained import Template, register

if TYPE_CHECKING:
    from mlflow import MlflowClient

Export = Callable[..., Exported]


@pytest.fixture(scope="session")
def cells(tiny_cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Template:
    return trained.classifier(tmp_path_factory.mktemp("cells"), tiny_cells)


@pytest.fixture(scope="session")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Template:
    from mlops.data import demo_dataset

    folder = tmp_path_factory.mktemp("lines")
    return trained.detector(folder, demo_dataset(trained.LINES, folder / "data", size="tiny"))


@pytest.fixture
def client(working_directory: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLOPS_HOME", str(working_directory / "home"))
    return connect()


@pytest.fixture
def cells_version(client: MlflowClient, working_directory: Path, cells: Template) -> str:
    """A classifier in the store of the test's own working directory."""
    return register(client, working_directory, cells)


@pytest.fixture
def lines_version(client: MlflowClient, working_directory: Path, lines: Template) -> str:
    return register(client, working_directory, lines)


@pytest.fixture
def export(client: MlflowClient, working_directory: Path) -> Export:
    """Export a version into `bundle` of the working directory, as little measured as can be."""

    def exported(
        given: str, formats: str = "onnx", precisions: str = "fp32", data: tuple[str, ...] = ()
    ) -> Exported:
        request = ExportRequest(
            given=given,
            formats=tuple(formats.split(",")),
            precisions=tuple(Precision(each) for each in precisions.split(",")),
            out=working_directory / "bundle",
            data=data,
            class_map=None,
            cache=working_directory / "home" / "cache",
            pictures=40,
            calibrate=24,
            calls=5,
        )
        return export_version(client, request, lambda _: None)

    return exported
