"""A bundle says when it is no longer what was written."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops.cli.main import run
from mlops.errors import UserError
from registry.export.bundle import bundle_folder as bundles
from registry.export.bundle.bundle_folder import MANIFEST, SUMS, read_manifest, verify
from registry.export.bundle.isolated import difference, run_isolated


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """One as `mlops export` writes it, with files of a few bytes."""
    with bundles.workplace(tmp_path / "bundle") as work:
        (work / "model.onnx").write_bytes(bytes(range(256)))
        (work / "predict.py").write_text("print('a')\n")
        (work / "model.mlpackage" / "Data").mkdir(parents=True)
        (work / "model.mlpackage" / "Data" / "weights.bin").write_bytes(b"\0" * 64)
        files = {name: {"sha256": digest} for name, digest in bundles.digests_in(work).items()}
        (work / MANIFEST).write_text(json.dumps({"model": "m", "version": "1", "files": files}))
        bundles.seal(work)
        bundles.publish(work, tmp_path / "bundle")
    return tmp_path / "bundle"


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def test_an_untouched_bundle_is_well(bundle: Path) -> None:
    found = verify(bundle)
    assert found.well
    assert (found.model, found.version, found.files) == ("m", "1", 4)


def test_one_changed_byte_anywhere_is_seen(bundle: Path) -> None:
    rng = random.Random(0)
    for file in _files(bundle):
        held = file.read_bytes()
        for place in {0, len(held) - 1, *(rng.randrange(len(held)) for _ in range(20))}:
            changed = bytearray(held)
            changed[place] ^= 1 << rng.randrange(8)
            file.write_bytes(changed)
            assert not verify(bundle).well, (file.name, place)
        file.write_bytes(held)
    assert verify(bundle).well


def test_a_byte_more_or_less_at_the_end_is_seen(bundle: Path) -> None:
    for file in _files(bundle):
        held = file.read_bytes()
        for changed in (held + b"\n", held[:-1], b""):
            file.write_bytes(changed)
            assert not verify(bundle).well, file.name
        file.write_bytes(held)


def test_every_missing_file_is_named(bundle: Path) -> None:
    for file in list(_files(bundle)):
        held = file.read_bytes()
        file.unlink()
        found = verify(bundle)
        assert any(str(file.relative_to(bundle)) in fault for fault in found.faults)
        file.write_bytes(held)


def test_an_added_file_is_named(bundle: Path) -> None:
    (bundle / "model.mlpackage" / "more").write_text("")
    assert verify(bundle).faults == ("model.mlpackage/more was added",)


def test_what_is_no_file_is_named_too(bundle: Path) -> None:
    os.mkfifo(bundle / "pipe")
    assert verify(bundle).faults == ("pipe was added",)


def test_a_bundle_without_a_script_cannot_be_tried_alone(bundle: Path) -> None:
    with pytest.raises(UserError, match=r"has no predict\.py"):
        run_isolated(bundle, read_manifest(bundle))


def test_a_link_in_place_of_a_file_is_seen(bundle: Path, tmp_path: Path) -> None:
    held = bundle / "model.onnx"
    held.rename(tmp_path / "outside.onnx")
    held.symlink_to(tmp_path / "outside.onnx")
    assert verify(bundle).faults == ("model.onnx was changed",)


def test_the_command_leaves_with_3_and_one_line(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "--verify", str(bundle)]) == 0
    (bundle / "predict.py").write_text("print('b')\n")
    capsys.readouterr()
    assert run(["export", "--verify", str(bundle)]) == 3
    assert (
        capsys.readouterr().err.strip()
        == f"mlops: {bundle} was changed after the export: predict.py was changed"
    )
    assert run(["export", "--verify", str(bundle), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["faults"] == ["predict.py was changed"]


def test_a_folder_that_is_no_bundle_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match="is not a bundle"):
        verify(tmp_path / "other")


def test_writing_that_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), bundles.workplace(tmp_path / "bundle") as work:
        (work / "model.onnx").write_bytes(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_appeared_meanwhile_is_kept(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="already exists"), bundles.workplace(tmp_path / "bundle") as work:
        (tmp_path / "bundle").write_text("another's")
        bundles.publish(work, tmp_path / "bundle")
    assert (tmp_path / "bundle").read_text() == "another's"


def test_sums_can_be_read_by_everyones_tool(bundle: Path) -> None:
    import shutil
    import subprocess

    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum here")
    assert subprocess.run(["sha256sum", "-c", "--quiet", SUMS], cwd=bundle, check=False).returncode == 0


@pytest.mark.parametrize(
    ("said", "alike"),
    [
        ("disc\t0.9012\nbar\t0.0988\n", True),
        ("disc\t0.9100\nbar\t0.0900\n", True),
        ("disc\t0.8000\nbar\t0.2000\n", False),
        ("disc\t0.9012\n", False),
        ("", False),
    ],
)
def test_answers_may_differ_by_rounding_alone(said: str, alike: bool) -> None:
    assert (difference("disc\t0.9012\nbar\t0.0988\n", said) == "") is alike
