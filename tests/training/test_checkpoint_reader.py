"""A checkpoint is data: whatever its pickle asks for, nothing is called and nothing of its kind is built."""

from __future__ import annotations

import io
import pickle
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mlops.errors import BadSetting, MissingWeights, UnsafeWeights
from mlops.training.checkpoint_reader import Recorded, read_checkpoint, tensors_of
from mlops.training.detection.model_yaml import checked_model
from mlops.training.detection.network_file import read_network, write_network
from mlops.training.detection.recorded_network import write_recorded
from mlops.training.detection.ultralytics_library import settle


@pytest.fixture(autouse=True)
def settled(tmp_path: Path) -> None:
    settle(tmp_path / "cache")


def rebuild(file: Path) -> Any:
    """The network, as a conversion in this process makes it."""
    target = file.with_suffix(".safetensors")
    write_recorded(read_checkpoint(file), file, target)
    return read_network(target).network.eval()


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def calls(folder: Path) -> dict[str, bytes]:
    """Pickles that would make `folder`, one for each opcode that calls or builds."""
    name, one = b"cos\nmkdir\n", b"(" + text(str(folder)) + b"t"
    state = b"}" + text("x") + b"K\x01s"
    return {
        "REDUCE": name + one + b"R.",
        "STACK_GLOBAL": text("os") + text("mkdir") + b"\x93" + one + b"R.",
        "INST": b"(" + text(str(folder)) + b"ios\nmkdir\n.",
        "OBJ": b"(" + name + text(str(folder)) + b"o.",
        "NEWOBJ": b"cpathlib\nPosixPath\n(" + text(str(folder)) + b"t\x81.",
        "NEWOBJ_EX": b"cpathlib\nPosixPath\n(" + text(str(folder)) + b"t}\x92.",
        "BUILD": b"cbuiltins\nobject\n)\x81" + state + b"b.",
        "EXT1": b"\x82\x01" + one + b"R.",
        "getattr": b"cbuiltins\ngetattr\n(" + b"cos\n__dict__\n" + text("mkdir") + b"tR" + one + b"R.",
        "eval": b"cbuiltins\neval\n(" + text(f"__import__('os').mkdir({str(folder)!r})") + b"tR.",
        "torch.load": b"ctorch\nload\n(" + text("/etc/passwd") + b"tR.",
        "a model": b"cultralytics.nn.tasks\nDetectionModel\n(}"
        + text("activation")
        + text(f"__import__('os').mkdir({str(folder)!r})")
        + b"stR.",
    }


OPCODES = list(calls(Path("x")))


def archive(file: Path, content: bytes) -> Path:
    """What `torch.save` writes, around any pickle."""
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("archive/data.pkl", content)
        made.writestr("archive/version", "3\n")
        made.writestr("archive/byteorder", "little")
    return file


@pytest.mark.parametrize("opcode", OPCODES)
def test_no_opcode_runs_code(tmp_path: Path, opcode: str) -> None:
    canary = tmp_path / "canary"
    content = b"\x80\x02}" + text("model") + calls(canary)[opcode].removesuffix(b".") + b"s."
    try:
        held = read_checkpoint(archive(tmp_path / "best.pt", content))
        assert isinstance(held["model"], Recorded)
    except UnsafeWeights:
        pass
    assert not canary.exists()
    with pytest.raises((UnsafeWeights, MissingWeights)):
        rebuild(tmp_path / "best.pt")
    assert not canary.exists()


def test_tensors_numbers_and_texts_are_read(tmp_path: Path) -> None:
    values = {
        "weights": OrderedDict(a=torch.arange(6.0).half().view(2, 3), b=torch.nn.Parameter(torch.ones(2))),
        "epoch": 3,
        "best": np.float64(0.5),
        "shape": torch.Size([1, 2]),
        "type": torch.float16,
        "text": "x",
    }
    torch.save(values, tmp_path / "a.pt")
    held = read_checkpoint(tmp_path / "a.pt")
    assert torch.equal(held["weights"]["a"], values["weights"]["a"])  # type: ignore[index]
    assert torch.equal(held["weights"]["b"], torch.ones(2))
    assert (held["epoch"], held["best"], held["type"], held["text"]) == (3, 0.5, torch.float16, "x")


def test_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    class Twice(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    torch.jit.script(Twice()).save(str(tmp_path / "script.pt"))
    torch.save([1, 2], tmp_path / "list.pt")
    (tmp_path / "text.pt").write_text("no checkpoint")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps({"model": 1}))
    torch.save({"model": 1}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for file in sorted(tmp_path.glob("*.pt")):
        with pytest.raises(UnsafeWeights):
            read_checkpoint(file)


def network(**changed: object) -> Any:
    from ultralytics.nn.tasks import DetectionModel, yaml_model_load

    torch.manual_seed(0)
    return DetectionModel({**yaml_model_load("yolo11n.yaml"), **changed}, nc=2, verbose=False)


def saved(file: Path, model: Any) -> Path:
    torch.save({"epoch": -1, "model": model, "ema": None, "optimizer": None, "train_args": {}}, file)
    return file


def test_a_network_is_rebuilt_that_gives_the_same_answers(tmp_path: Path) -> None:
    model = network(activation="nn.ReLU()").eval()
    model.names = {0: "left", 1: "right"}
    made = rebuild(saved(tmp_path / "best.pt", model))
    example = torch.rand(1, 3, 64, 64)
    assert torch.equal(made(example)[0], model(example)[0])
    assert made.names == {0: "left", 1: "right"}


def test_a_network_of_our_own_is_read_as_it_was_written(tmp_path: Path) -> None:
    model = network(activation="nn.LeakyReLU(0.2)").eval()
    file = tmp_path / "best.safetensors"
    write_network(file, model, training={"epoch": 3, "optimizer": {"state": {0: {"step": torch.ones(1)}}}})
    held = read_network(file)
    example = torch.rand(1, 3, 64, 64)
    assert torch.equal(held.network.eval()(example)[0], model(example)[0])
    assert held.training["epoch"] == 3 and held.training["optimizer"]["state"][0]["step"].item() == 1


def test_an_expression_in_the_description_of_a_network_is_not_evaluated(tmp_path: Path) -> None:
    model = network()
    model.yaml["activation"] = f"__import__('os').mkdir({str(tmp_path / 'canary')!r})"
    with pytest.raises(BadSetting, match="activation"):
        rebuild(saved(tmp_path / "best.pt", model))
    assert not (tmp_path / "canary").exists()


def test_a_checkpoint_without_a_fitting_tensor_is_refused(tmp_path: Path) -> None:
    model = network()
    for child in list(model.model):
        child._parameters.clear()
        child._buffers.clear()
        child._modules.clear()
    with pytest.raises(MissingWeights, match=r"of \d+ weights of the network .* are missing"):
        rebuild(saved(tmp_path / "best.pt", model))


CHANGES = {
    "activation": {"activation": "print(1)"},
    "a dunder": {"activation": "nn.SiLU().__class__"},
    "classes": {"nc": 10**9},
    "classes as text": {"nc": "2"},
    "not a number": {"depth_multiple": float("nan")},
    "scales": {"scales": {"n": [1, 10**30, 1]}},
    "scales as text": {"scales": "n"},
    "module": {"backbone": [[-1, 1, "os.system", ["true"]]]},
    "global": {"head": [[-1, 1, "contextlib", []]]},
    "fetching module": {"backbone": [[-1, 1, "TorchVision", [512, "resnet18"]]]},
    "argument": {"backbone": [[-1, 1, "Conv", ["__import__('os')", 3]]]},
    "deep argument": {"backbone": [[-1, 1, "Conv", [[["open('x','w')"]], 3]]]},
    "layer's size": {"backbone": [[-1, 1, "Conv", [10**7, 3]]]},
    "network's size": {
        "scales": {"n": [1, 1, 65536]},
        "scale": "n",
        "backbone": [[-1, 1, "Conv", [60_000, 3]], [-1, 1, "Conv", [60_000, 3]]],
        "head": [],
    },
    "repeats": {"backbone": [[-1, 10**6, "Conv", [8, 3]]]},
    "depth": {"backbone": [[-1, 100, "C3k2", [64]]] * 50, "scales": {"n": [4, 1, 64]}, "scale": "n"},
    "wide outputs": {"backbone": [[-1, 1, "Conv", [65_536, 1, 1]]]},
    "large outputs": {
        "backbone": [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "nn.Upsample", [None, 99, "nearest"]]]
    },
    "padding": {"backbone": [[-1, 1, "nn.ZeroPad2d", [20_000]], [-1, 1, "Conv", [8, 3, 2]]]},
    "channels": {"channels": "abc"},
    "an activation's size": {"activation": "nn.PReLU(99999999)"},
    "no backbone": {"backbone": []},
    "no head": {"head": []},
    "another head": {"head": [[-1, 1, "Conv", [8, 3]]]},
    "from": {"backbone": [[[10**9], 1, "Concat", [1]]]},
    "row": {"backbone": ["Conv"]},
    "layers": {"backbone": "Conv"},
    "key": {"loader": {"a": "b"}},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_description_is_refused_by_each_of_its_fields(change: str) -> None:
    from ultralytics.nn.tasks import yaml_model_load

    with pytest.raises(BadSetting) as refused:
        checked_model({**yaml_model_load("yolo11n.yaml"), **CHANGES[change]}, "net.yaml")
    assert str(refused.value).startswith("net.yaml: ") and "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["yolo11n", "yolo26n", "yolov8n", "yolov9t", "yolov5nu", "yolov3-tiny"])
def test_the_networks_of_ultralytics_are_allowed(name: str) -> None:
    from ultralytics.nn.tasks import yaml_model_load

    checked_model(yaml_model_load(f"{name}.yaml"), name)


def test_state_that_is_no_mapping_and_odd_keys_are_kept_away(tmp_path: Path) -> None:
    assert tensors_of(None) == {} and tensors_of(Recorded()) == {}
    buffer = io.BytesIO()
    torch.save({1: "a", ("b",): "c"}, buffer)
    (tmp_path / "odd.pt").write_bytes(buffer.getvalue())
    assert read_checkpoint(tmp_path / "odd.pt") == {"1": "a", "('b',)": "c"}


def test_a_joint_checkpoint_of_release_0_1_is_rebuilt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops.training.joint.joint_network import HeadShape, ImageHead, JointModel

    model = JointModel("yolov5n.yaml", head=HeadShape(3, 8, 0.2), nc=2).eval()
    place = "mlops.training.joint.network"
    with monkeypatch.context() as then:
        for kind in (JointModel, ImageHead):
            then.setattr(kind, "__module__", place)
        then.setitem(sys.modules, place, SimpleNamespace(JointModel=JointModel, ImageHead=ImageHead))
        saved(tmp_path / "best.pt", model)
    made = rebuild(tmp_path / "best.pt")
    assert isinstance(made, JointModel) and made.image_head.dropout.p == 0.2
    example = torch.rand(1, 3, 64, 64)
    (boxes, raw), (other_boxes, other_raw) = made(example), model(example)
    assert torch.equal(boxes, other_boxes)
    assert torch.equal(raw["image_logits"], other_raw["image_logits"])
