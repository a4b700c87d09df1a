"""The reviewer's page works with nothing but itself, and what is saved from it is evidence of an approval."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mlops.cli.main import run
from mlops.store.client import connect
from tests.evaluation.colours import CELLS, Known, classifier, joint

POLICY = "model: cells\ngates: {}\n"


def page_of(known: Known, *arguments: str) -> str:
    assert run(["evaluate", known.name, "--threads", "1", "--examples", "3", *arguments]) == 0
    client = connect()
    (place,) = [item.path for item in client.list_artifacts(known.run_id, "evaluation")]
    return Path(client.download_artifacts(known.run_id, f"{place}/review.html")).read_text("utf-8")


def held_by(page: str) -> dict[str, Any]:
    """What the page's script reads."""
    found = re.search(r'<script type="application/json" id="about">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    held: dict[str, Any] = json.loads(found[1])
    return held


def saved_from(page: str, folder: Path, *verdicts: str, **changed: object) -> Path:
    """The file that the page's button makes, the first pictures judged as given."""
    held = held_by(page)
    judged = [*verdicts, *([""] * len(held["items"]))]
    rows = [
        {**item, "verdict": verdict, "comment": ""}
        for item, verdict in zip(held["items"], judged, strict=False)
    ]
    content = {**held["about"], "page": held["page"], "reviewer": "Dr. Ada", "verdicts": rows, **changed}
    file = folder / "verdicts.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def test_the_page_holds_every_picture_and_asks_no_network(cells: Known) -> None:
    page = page_of(cells)
    items = held_by(page)["items"]
    assert [item["kind"] for item in items] == ["wrong", "wrong", "right", "right", "right"]
    assert {item["truth"] for item in items if item["kind"] == "right"} == set(CELLS)
    pictures = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(pictures) == len(items)
    for held in pictures:
        Image.open(io.BytesIO(base64.b64decode(held))).verify()
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)=["']?(?!data:)\w|https?://|@import|url\(""", page)
    gallery = {item.path for item in connect().list_artifacts(cells.run_id, "evaluation/test/gallery")}
    assert gallery == {f"evaluation/test/gallery/{item['id']}.jpg" for item in items}


def test_names_of_pictures_cannot_end_the_script_that_holds_them(cells: Known) -> None:
    odd = cells.data / "test" / "amber" / "3.png"
    odd.rename(odd.with_name("<!--<script>'&.png"))
    shown = page_of(cells, "--other-data")
    assert any(item["image"].endswith("<!--<script>'&.png") for item in held_by(shown)["items"])
    assert "<!--<script>" not in shown


def test_boxes_are_drawn_where_they_are(rails: Known) -> None:
    page = page_of(rails, "--threshold-rule", "0.3")
    kinds = [item["kind"] for item in held_by(page)["items"]]
    # picture 2: a box where nothing is annotated, and one of another class; pictures 0 and 1 are right
    assert kinds == ["false positive", "confusion", "right", "right"]
    file = connect().download_artifacts(rails.run_id, "evaluation/test/gallery/false-positive-01.jpg")
    drawn = Image.open(file).convert("RGB")
    left, top, right = (each * drawn.width / 32 for each in (2, 18, 14))  # the third quarter's box
    middle = drawn.getpixel((int((left + right) / 2), int(top) + 1))
    assert isinstance(middle, tuple) and middle[0] > 150 and middle[1] > 100 and middle[2] < 110  # orange


def test_a_joint_networks_boxes_and_answers_share_the_page(working_directory: Path) -> None:
    known = joint(connect(), working_directory)
    page = page_of(known, "--tta")
    ids = [item["id"] for item in held_by(page)["items"]]
    assert len(set(ids)) == len(ids)
    assert {"false positive", "right", "wrong"} <= {item["kind"] for item in held_by(page)["items"]}
    kept = connect().get_run(known.run_id).data.metrics
    assert kept["test/mAP50"] > 0.5 and kept["test/accuracy"] >= 0.5
    assert "test/froc/score" in kept and "test/classification_loss" in kept and "test/loss" not in kept
    assert {"test/tta/mAP50", "test/tta/accuracy"} <= kept.keys()
    drawn = {i.path for i in connect().list_artifacts(known.run_id, "evaluation/test/classification")}
    assert "evaluation/test/classification/reliability.png" in drawn


def test_without_its_library_the_page_does_without_maps_and_says_so(
    cells: Known, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pytorch_grad_cam", None)
    assert run(["evaluate", cells.name, "--threads", "1", "--examples", "1", "--json"]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert notes == [
        "no Grad-CAM: Grad-CAM needs pytorch_grad_cam, which is not installed: "
        "pip install 'vision-mlops[explain]'"
    ]


def test_a_map_shows_what_spoke_for_the_answer(cells: Known, working_directory: Path) -> None:
    pytest.importorskip("pytorch_grad_cam")
    import timm
    import torch
    from safetensors.torch import save_file

    client = connect()
    torch.manual_seed(0)
    network = timm.create_model("test_efficientnet", pretrained=False, num_classes=len(CELLS))
    file = working_directory / "best.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, file)
    client.log_artifact(cells.run_id, str(file), "weights")
    client.log_param(cells.run_id, "model", "test_efficientnet")
    page_of(cells)
    shown = Image.open(client.download_artifacts(cells.run_id, "evaluation/test/gallery/right-01.jpg"))
    assert shown.width == 2 * shown.height + 8  # the picture, and beside it the same under its map


def approve(known: Known, file: Path, working_directory: Path) -> int:
    policy = working_directory / "policy.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    arguments = ["--for", "staging", "--policy", str(policy), "--evidence", str(file)]
    return run(["registry", "approve", known.model, known.version, *arguments])


def test_verdicts_are_counted_and_kept_with_an_approval(
    cells: Known, working_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved_from(page_of(cells), working_directory, "disagree", "disagree", "agree", "unsure")
    capsys.readouterr()
    assert approve(cells, file, working_directory) == 0
    says = "Dr. Ada reviewed 4 of 5 images: 1 agree, 2 disagree, 1 unsure"
    assert says in capsys.readouterr().out
    assert run(["registry", "verify", "cells"]) == 0
    (kept,) = [item.path for item in connect().list_artifacts(cells.run_id, "release")]
    assert Path(connect().download_artifacts(cells.run_id, kept)).read_bytes() == file.read_bytes()
    connect().log_text(cells.run_id, file.read_text("utf-8").replace("disagree", "agree"), kept)
    capsys.readouterr()
    with pytest.raises(SystemExit, match="1"):
        run(["registry", "verify", "cells"])
    assert "its evidence was changed" in capsys.readouterr().out


def test_verdicts_on_something_else_are_no_evidence(
    cells: Known, working_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier(connect(), working_directory)  # version 2
    page = page_of(cells)
    cases: list[tuple[tuple[str, ...], dict[str, object], str]] = [
        (("agree",), {"version": "2"}, "has verdicts on cells/2, not on cells/1"),
        (("agree",), {"dataset_digest": "f" * 64}, "is for the dataset digest ffffffffffffffff"),
        (("agree",), {"onnx_digest": "e" * 64}, "is for the onnx digest eeeeeeeeeeeeeeee"),
        ((), {}, "has no verdict on any of its 5 images"),
        (("perhaps",), {}, "is not a verdicts file"),
        (("agree",), {"format": "other"}, "is not a verdicts file"),
    ]
    for verdicts, changed, says in cases:
        file = saved_from(page, working_directory, *verdicts, **changed)
        capsys.readouterr()
        assert approve(cells, file, working_directory) == 2
        told = capsys.readouterr().err
        assert says in told and told.count("\n") == 1
    assert not list(connect().list_artifacts(cells.run_id, "release"))
