"""Where a classifier's first weights come from, and what is said when they cannot be had."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mlops.errors import BadSetting, MissingWeights
from mlops.training.classification import ClassificationTrainer
from mlops.training.classification import timm_network as networks
from tests.command import REPOSITORY
from tests.training.classification_case import CLASSES, Reports, draw_nothing, tiny_config, tiny_recipe


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The weights of a small training."""
    torch.set_num_threads(1)
    draw_nothing(monkeypatch)
    return ClassificationTrainer().fit(tiny_config(tmp_path, epochs=1), Reports()).best_weights


def test_none_draws_weights_by_the_seed() -> None:
    one, same, other = (
        networks.build(tiny_recipe(), 3, seed).state_dict()["conv1.0.weight"] for seed in (4, 4, 5)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_weights_of_an_earlier_training_are_taken_whole(trained: Path) -> None:
    network = networks.build(tiny_recipe(weights=str(trained)), len(CLASSES), 0)
    held = load_file(trained)
    assert all(torch.equal(tensor, held[name]) for name, tensor in network.state_dict().items())


def test_a_head_for_other_classes_is_drawn_anew_and_the_backbone_kept(trained: Path) -> None:
    network = networks.build(tiny_recipe(weights=str(trained)), 7, 0)
    held, own = load_file(trained), network.state_dict()
    assert own["fc.weight"].shape[0] == 7
    assert all(torch.equal(tensor, held[name]) for name, tensor in own.items() if not name.startswith("fc."))


@pytest.mark.real_data
def test_imagenet_weights_in_a_file_are_taken(shared_data: Path) -> None:
    file = shared_data / "weights" / "tf_efficientnet_lite0_in1k.safetensors"
    recipe = tiny_recipe(model="tf_efficientnet_lite0", weights=str(file))
    own, held = networks.build(recipe, 8, 0).state_dict(), load_file(file)
    assert all(torch.equal(own[name], held[name]) for name in own if not name.startswith("classifier."))
    assert own["classifier.weight"].shape[0] == 8


def test_weights_of_another_network_are_refused_before_training(tmp_path: Path, trained: Path) -> None:
    config = tiny_config(tmp_path, name="other", model="mobilenetv3_small_050", weights=str(trained))
    with pytest.raises(MissingWeights, match="holds test_resnet and does not fit model=mobilenet"):
        ClassificationTrainer().fit(config, Reports())


def test_weights_that_fit_in_part_are_refused(tmp_path: Path, trained: Path) -> None:
    held = load_file(trained)
    del held["conv1.0.weight"]
    part = tmp_path / "part.safetensors"
    save_file(held, part)
    with pytest.raises(MissingWeights, match=r"first: conv1\.0\.weight"):
        networks.build(tiny_recipe(weights=str(part)), 3, 0)


class _Trap:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return Path.write_text, (Path("sprung"), "x")  # type: ignore[return-value]


def test_a_pickle_is_refused_and_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trap = tmp_path / "weights.pth"
    trap.write_bytes(pickle.dumps(_Trap()))
    with pytest.raises(MissingWeights, match="not a safetensors file"):
        networks.build(tiny_recipe(weights=str(trap)), 3, 0)
    assert not Path("sprung").exists()
    torch.save({"a": torch.zeros(1)}, tmp_path / "torch.pth")
    with pytest.raises(MissingWeights, match="not a safetensors file"):
        networks.build(tiny_recipe(weights=str(tmp_path / "torch.pth")), 3, 0)


@pytest.mark.parametrize("setting", ["lost/there.safetensors", "imagenett"])
def test_weights_that_are_nowhere_say_what_may_be_given(setting: str) -> None:
    for look in (lambda r: networks.build(r, 3, 0), networks.check):
        with pytest.raises(MissingWeights, match="the file does not exist"):
            look(tiny_recipe(weights=setting))


@pytest.mark.parametrize(
    ("given", "meant"), [("test_resnett", "test_resnet"), ("efficentnet_lite0", "lite0")]
)
def test_a_misspelt_model_is_told_what_was_meant(tmp_path: Path, given: str, meant: str) -> None:
    with pytest.raises(BadSetting, match=f"did you mean .*{meant}"):
        ClassificationTrainer().fit(tiny_config(tmp_path, model=given), Reports())


def test_weights_of_other_classes_cannot_be_tested(tmp_path: Path, trained: Path) -> None:
    config = tiny_config(tmp_path, model="test_efficientnet")
    for use in (
        lambda: ClassificationTrainer().test(config, trained, "test"),
        lambda: ClassificationTrainer().serving_model(config, trained),
    ):
        with pytest.raises(MissingWeights, match="does not have the weights of test_efficientnet with 3"):
            use()


LOOK = """
import time
from mlops.errors import MissingWeights
from mlops.training.classification import timm_network as network
from tests.training.classification_case import tiny_recipe
recipe = tiny_recipe(weights="imagenet", model="test_resnet")
for look in (lambda: network.build(recipe, 3, 0), lambda: network.check(recipe)):
    start = time.perf_counter()
    try:
        look()
    except MissingWeights as error:
        print(time.perf_counter() - start, error)
"""


def test_without_a_network_imagenet_is_refused_within_ten_seconds(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        environment |= {
            "HF_ENDPOINT": f"http://127.0.0.1:{closed.getsockname()[1]}",
            "HF_HOME": str(tmp_path),
            "PYTHONPATH": str(REPOSITORY),
        }
        for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE"):
            environment.pop(name, None)
        answer = subprocess.run(
            [sys.executable, "-c", LOOK], env=environment, capture_output=True, text=True, timeout=120
        )
    lines = answer.stdout.splitlines()
    assert len(lines) == 2, answer.stderr
    for line in lines:
        assert float(line.split()[0]) < 10
        assert "weights=imagenet are not on this machine" in line
        assert "--set weights=PATH" in line


def test_a_network_without_imagenet_weights_says_so() -> None:
    with pytest.raises(MissingWeights, match="timm has no weights for"):
        networks.check(tiny_recipe(weights="imagenet", model="convnext_atto_rms"))
