"""Pickles are judged without being loaded."""

from __future__ import annotations

import pickle
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops.training.pickles import unsafe_in


class Malicious:
    """Makes a folder when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        import os

        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_call_something_is_named_and_not_loaded(tmp_path: Path, protocol: int) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(pickle.dumps({"a": 1, "w": Malicious(tmp_path / "made")}, protocol=protocol))
    assert any(name.endswith(".mkdir") for name in unsafe_in(file))
    assert not (tmp_path / "made").exists()


def test_one_inside_a_zip_under_another_name_is_found(tmp_path: Path) -> None:
    file = tmp_path / "weights.onnx"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/innocent.txt", pickle.dumps(Malicious(tmp_path / "made"), protocol=4))
    assert unsafe_in(file)


def test_a_second_pickle_behind_a_harmless_one_is_found(tmp_path: Path) -> None:
    file = tmp_path / "weights.pkl"
    file.write_bytes(pickle.dumps([1]) + pickle.dumps(Malicious(tmp_path / "made")))
    assert unsafe_in(file)


def test_a_name_said_twice_by_the_memo_is_known_again(tmp_path: Path) -> None:
    file = tmp_path / "a.pkl"
    file.write_bytes(pickle.dumps([OrderedDict(a=1), OrderedDict(b=2)], protocol=4))
    assert unsafe_in(file) == ()


def test_tensors_numbers_and_containers_are_safe(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    state = OrderedDict(w=torch.zeros(2, 3), h=torch.zeros(2, dtype=torch.float16))
    torch.save({"epoch": 3, "state": state, "seen": {1, 2}}, tmp_path / "state.pt")
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "array.pkl").write_bytes(pickle.dumps(np.arange(3)))
    for name in ("state.pt", "old.pt", "array.pkl"):
        assert unsafe_in(tmp_path / name) == (), name


def test_a_whole_module_is_not_safe(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    assert "torch.nn.modules.linear.Linear" in unsafe_in(tmp_path / "module.pt")


def test_a_pickle_cut_short_is_not_safe(tmp_path: Path) -> None:
    file = tmp_path / "a.pkl"
    file.write_bytes(pickle.dumps(list(range(1000)))[:500])
    assert unsafe_in(file) == ("unreadable",)


def test_other_files_hold_no_pickle(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x09\x12\x07pytorch")
    (tmp_path / "MLmodel").write_text("flavors: {}")
    (tmp_path / "empty.txt").write_bytes(b"")
    assert [unsafe_in(path) for path in sorted(tmp_path.iterdir())] == [(), (), ()]


def test_a_tensor_that_begins_like_a_pickle_by_chance_is_none(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("w/data.pkl", pickle.dumps([1]))
        archive.writestr("w/data/0", b"\x80\x02" + bytes(range(200, 256)))
    assert unsafe_in(tmp_path / "w.pt") == ()


def test_an_array_of_objects_is_not_safe(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([Malicious(tmp_path / "made")], dtype=object), allow_pickle=True)
    assert unsafe_in(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.zeros(3))
    assert unsafe_in(tmp_path / "b.npy") == ()


def test_one_before_a_harmless_zip_is_found(tmp_path: Path) -> None:
    """torch looks at a file's beginning, Python's zipfile at its end."""
    file = tmp_path / "weights.pt"
    file.write_bytes(pickle.dumps(Malicious(tmp_path / "made")))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps([1]))
    assert zipfile.is_zipfile(file)
    assert any(name.endswith(".mkdir") for name in unsafe_in(file))


def test_one_of_an_old_torch_file_is_found_whatever_it_begins_with(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    file = tmp_path / "old.pt"
    head = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    file.write_bytes(
        b"".join(pickle.dumps(each, protocol=2) for each in head)
        + pickle.dumps(Malicious(tmp_path / "made"), protocol=0)
        + pickle.dumps([], protocol=2)
    )
    assert any(name.endswith(".mkdir") for name in unsafe_in(file))
    torch.load(file, weights_only=False)
    assert (tmp_path / "made").exists()  # it would have run


def test_a_tar_of_pickles_is_not_safe(tmp_path: Path) -> None:
    (tmp_path / "pickle").write_bytes(pickle.dumps(Malicious(tmp_path / "made")))
    with tarfile.open(tmp_path / "weights.pt", "w") as archive:
        archive.add(tmp_path / "pickle", ".")  # read as a pickle, the tar's first byte is an end
    assert unsafe_in(tmp_path / "weights.pt")


def test_an_array_of_objects_in_a_zip_is_not_safe(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", np.array([Malicious(tmp_path / "made")], dtype=object))
    assert unsafe_in(tmp_path / "a.npz")


def test_a_file_of_any_name_is_read_as_a_pickle_where_it_is_going_to_be_loaded(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(pickle.dumps(Malicious(tmp_path / "made"), protocol=0))
    assert unsafe_in(file) == ()
    assert unsafe_in(file, loaded=True)
