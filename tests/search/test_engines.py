"""What an engine needs is said before anything is read or recorded."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from mlops.errors import BadSetting, UserError
from mlops.search import run_study
from mlops.search.engines.on_ray import _share
from tests.search.test_study import request_in

NODE = {"Alive": True, "Resources": {"CPU": 8.0}}
GPU_NODE = {"Alive": True, "Resources": {"CPU": 16.0, "GPU": 4.0}}
DEAD = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}


def test_without_ray_the_line_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match=r"pip install 'vision-mlops\[ray\]'"):
        run_study(request_in(tmp_path).model_copy(update={"engine": "ray"}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("nodes", "parallel", "device", "share"),
    [
        ([NODE], 1, "auto", (8, 0.0)),
        ([NODE], 2, "auto", (4, 0.0)),
        ([NODE, NODE], 2, "auto", (8, 0.0)),
        ([NODE, NODE, DEAD], 3, "auto", (4, 0.0)),
        ([NODE, GPU_NODE], 8, "auto", (4, 1.0)),
        ([GPU_NODE], 2, "cpu", (8, 0.0)),
    ],
)
def test_a_trial_gets_a_gpu_or_an_even_part_of_a_node(
    tmp_path: Path, nodes: list[dict[str, object]], parallel: int, device: str, share: tuple[int, float]
) -> None:
    asked = request_in(tmp_path, trials=20).model_copy(update={"parallel": parallel, "device": device})
    assert _share(asked, nodes) == share


def test_a_device_that_no_node_has_is_refused(tmp_path: Path) -> None:
    asked = request_in(tmp_path).model_copy(update={"device": "cuda"})
    with pytest.raises(BadSetting, match="no node has a GPU"):
        _share(asked, [NODE, DEAD])
