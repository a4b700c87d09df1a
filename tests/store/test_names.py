"""Names as MLflow takes them, judged by MLflow's own checks."""

from __future__ import annotations

import doctest

import pytest
from mlflow.utils.validation import _validate_metric_name, _validate_param_name

from mlops.store import location as store
from mlops.store import names

ODD = [
    "val/AP50/dog (big)",
    "a@b",
    "a\\b",
    "a+b",
    "a//b",
    "../x",
    "/x/",
    ".",
    "..",
    "",
    "x" * 400,
    "é/ü",
    "a:b c",
    "#",
]


@pytest.mark.parametrize("name", ODD)
def test_mlflow_accepts_every_name(name: str) -> None:
    clean = names.entity_name(name)
    assert len(clean) <= names.MAX_NAME
    _validate_metric_name(clean)
    _validate_param_name(clean)


@pytest.mark.parametrize(
    "name", ["train/box_loss", "val/mAP50-95", "lr/head", "system/cpu_utilization_percentage"]
)
def test_our_own_names_stay_as_they_are(name: str) -> None:
    assert names.entity_name(name) == name


def test_two_names_never_become_one() -> None:
    given = ["AP/a(b", "AP/a)b", "AP/a_b", "loss"]
    clean = names.entity_names(given)
    assert len(set(clean.values())) == 4
    assert clean["AP/a_b"] == "AP/a_b"


@pytest.mark.parametrize("text", ["a\0b", "caf\udce9.jpg", "x" * 7000])
def test_every_text_is_one_that_a_database_can_hold(text: str) -> None:
    kept = names.param_text(text)
    assert "\0" not in kept and len(kept.encode()) <= names.MAX_PARAM_VALUE + 2


@pytest.mark.parametrize("module", [names, store])
def test_the_examples_in_the_docstrings_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
