"""A safetensors file that anyone may have written is refused in one line, whatever its metadata hold."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mlops.errors import UserError
from mlops.training.detection.network_file import read_network, write_network
from mlops.training.detection.resume import finished_epochs
from mlops.training.detection.ultralytics_library import settle
from mlops.training.tensor_file import read_tensors
from tests.training.test_checkpoint_reader import network

DESCRIPTIONS: dict[str, object] = {
    "a text": "x",
    "a list": [1],
    "another key": {"loader": 1},
    "no yaml": {"yaml": None},
    "yaml a list": {"yaml": [1]},
    "yaml empty": {"yaml": {}},
    "another kind": {"kind": "os.system"},
    "channels a text": {"channels": "abc"},
    "channels infinite": {"channels": math.inf},
    "channels many": {"channels": 10**9},
    "channels none": {"channels": None},
    "names a text": {"names": "x"},
    "names of infinity": {"names": {"pairs": [[math.inf, "a"]]}},
    "names of a list": {"names": {"pairs": [[[1], "a"]]}},
    "settings a text": {"settings": "x"},
    "settings of none": {"settings": {"model.0": None}},
    "tasks a number": {"tasks": 5},
    "a tensor that is missing": {"names": {"tensor": "gone"}},
    "a tensor of another layout": {"names": {"channels_last": "model.0.bn.bias"}},
}
HARMLESS: dict[str, object] = {
    "an odd setting": {"settings": {"model.0": {"eps": None}, "": {"p": 1}, "gone": {"eps": 1}}},
    "a negative setting": {"settings": {"model.0.bn": {"eps": -1.0, "momentum": 7.0}}},
    "the whole network an activation": {"activations": {"model": "SiLU", "": "SiLU", "model.0.conv": "ReLU"}},
    "a dunder": {"activations": {"model.0.__class__": "SiLU"}, "settings": {"__class__": {"eps": 1.0}}},
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("network")
    settle(folder / "cache")
    write_network(folder / "best.safetensors", network(), training={"epoch": 3})
    return folder / "best.safetensors"


def changed(written: Path, target: Path, **values: object) -> Path:
    """A copy with other metadata; a mapping changes only its keys."""
    tensors, _ = read_tensors(written)
    with safe_open(written, framework="pt") as held:
        metadata = dict(held.metadata())
    for key, value in values.items():
        before = json.loads(metadata[key])
        metadata[key] = json.dumps({**before, **value} if isinstance(value, dict) else value)
    save_file(tensors, target, metadata=metadata)
    return target


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_an_odd_description_is_refused_in_one_line(written: Path, tmp_path: Path, name: str) -> None:
    file = changed(written, tmp_path / "best.safetensors", network=DESCRIPTIONS[name])
    with pytest.raises(UserError, match=r"best\.safetensors") as refused:
        read_network(file)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", HARMLESS)
def test_settings_that_no_module_has_change_nothing(written: Path, tmp_path: Path, name: str) -> None:
    file = changed(written, tmp_path / "best.safetensors", network=HARMLESS[name])
    example = torch.rand(1, 3, 64, 64)
    given, expected = (read_network(each).network.eval()(example)[0] for each in (file, written))
    assert torch.equal(given, expected)


def test_deep_metadata_are_refused(written: Path, tmp_path: Path) -> None:
    tensors, _ = read_tensors(written)
    deep = "[" * 100_000 + "]" * 100_000
    save_file(tensors, tmp_path / "best.safetensors", metadata={"network": deep})
    with pytest.raises(UserError, match=r"best\.safetensors"):
        read_network(tmp_path / "best.safetensors")


@pytest.mark.parametrize("epoch", [-1, True, "3", math.inf, 10**30, None])
def test_an_epoch_that_is_none_is_refused(written: Path, tmp_path: Path, epoch: object) -> None:
    file = changed(written, tmp_path / "state.safetensors", training={"epoch": epoch})
    with pytest.raises(UserError, match="does not state its epoch"):
        finished_epochs(file)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(written: Path, tmp_path: Path, value: float) -> None:
    tensors, _ = read_tensors(written)
    with safe_open(written, framework="pt") as held:
        metadata = dict(held.metadata())
    tensors["model.0.conv.weight"][0, 0, 0, 0] = value
    save_file(tensors, tmp_path / "best.safetensors", metadata=metadata)
    with pytest.raises(UserError, match=r"not finite \(first: model\.0\.conv\.weight\)"):
        read_network(tmp_path / "best.safetensors")
