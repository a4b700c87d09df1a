"""Who is recorded as having trained, approved or released."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from mlops.store.identity import me

LOGIN = "[mlflow]\nmlflow_tracking_username = cleo\nmlflow_tracking_password = %secret%\n"


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_URI", "MLOPS_USER"):
        monkeypatch.delenv(name, raising=False)


def test_this_machines_user_where_nothing_else_is_said() -> None:
    assert me() == getpass.getuser()


def test_whom_the_server_lets_in_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLOPS_USER", "dora")
    assert me() == "dora"
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").write_text(LOGIN)
    assert me() == "cleo"
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "bea")
    assert me() == "bea"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://an%20n:secret@example.org")
    assert me() == "an n"


def test_the_user_of_a_database_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://postgres:secret@db/mlflow")
    assert me() == getpass.getuser()


def test_credentials_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").write_bytes(b"\xff no ini")
    assert me() == getpass.getuser()
