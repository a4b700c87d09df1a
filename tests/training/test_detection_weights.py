"""Weights that a detector is given from outside: judged before anything loads them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops.errors import MissingWeights, UnsafeWeights
from mlops.training.detection import DetectionTrainer
from mlops.training.detection.ultralytics_library import settle
from tests.training.detection_case import tiny_recipe


@pytest.fixture(autouse=True)
def settled(tmp_path: Path) -> None:
    settle(tmp_path / "cache")


class Malicious:
    """Makes a folder when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        import os

        return os.mkdir, (str(self.folder),)


def checked(tmp_path: Path, weights: Path) -> None:
    DetectionTrainer().check(tiny_recipe(weights=str(weights)), device="cpu", cache=tmp_path / "cache")


def whole_network(**more: object) -> dict[str, object]:
    from ultralytics.nn.tasks import DetectionModel

    return {"model": DetectionModel("yolo11n.yaml", verbose=False), "train_args": {}, **more}


def in_a_zip(folder: Path, file: Path) -> None:
    import torch

    torch.save({"model": Malicious(folder)}, file)


def beside_a_real_network(folder: Path, file: Path) -> None:
    import torch

    torch.save(whole_network(extra=Malicious(folder)), file)


def as_old_torch_wrote(folder: Path, file: Path) -> None:
    import torch

    torch.save({"model": Malicious(folder)}, file, _use_new_zipfile_serialization=False)


def as_a_plain_pickle(folder: Path, file: Path) -> None:
    file.write_bytes(pickle.dumps(Malicious(folder), protocol=0))


WAYS = [in_a_zip, beside_a_real_network, as_old_torch_wrote, as_a_plain_pickle]


@pytest.mark.parametrize("write", WAYS, ids=lambda way: way.__name__)
def test_weights_that_would_run_code_are_refused_in_one_line_and_not_loaded(
    tmp_path: Path, write: Callable[[Path, Path], None]
) -> None:
    file = tmp_path / "best.pt"
    write(tmp_path / "made", file)
    with pytest.raises(
        UnsafeWeights, match=r"best\.pt: not a plain checkpoint.*posix\.mkdir.*it was not loaded"
    ) as caught:
        checked(tmp_path, file)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "made").exists()


def test_a_checkpoint_of_the_library_is_taken(tmp_path: Path) -> None:
    import torch

    torch.save(whole_network(), tmp_path / "mine.pt")
    checked(tmp_path, tmp_path / "mine.pt")


def test_tensors_without_a_network_are_called_what_they_are(tmp_path: Path) -> None:
    import torch

    torch.save({"w": torch.zeros(3)}, tmp_path / "tensors.pt")
    with pytest.raises(MissingWeights, match=r"tensors\.pt does not hold an Ultralytics network"):
        checked(tmp_path, tmp_path / "tensors.pt")
