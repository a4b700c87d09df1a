"""What the two tasks share in the network, and what it gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mlops.training.detection.ultralytics_library import quiet, settle
from tests.training.joint.case import SIDE


@pytest.fixture(autouse=True)
def settled(tmp_path: Path) -> None:
    settle(tmp_path / "cache")


def network(model: str = "yolov5n.yaml", *, independent: bool = False) -> Any:
    from ultralytics.utils import DEFAULT_CFG

    from mlops.training.joint.joint_network import HeadShape, JointModel

    torch.manual_seed(0)
    with quiet():
        made = JointModel(model, head=HeadShape(3, 16, 0.0), independent=independent, nc=2)
    made.args = DEFAULT_CFG
    return made.train()


def batch(pictures: int = 4) -> dict[str, Any]:
    return {
        "img": torch.rand(pictures, 3, SIDE, SIDE),
        "image_class": torch.arange(pictures) % 3,
        "batch_idx": torch.arange(pictures).float(),
        "cls": torch.zeros(pictures, 1),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4]]).repeat(pictures, 1),
    }


def losses_of(model: Any) -> dict[str, torch.Tensor]:
    """Each task's own loss, with its graph."""
    seen: dict[str, torch.Tensor] = {}
    model.criterion = model.init_criterion()
    model.criterion.weigh = lambda losses: seen.update(losses) or sum(losses.values())
    total, items = model(batch())
    assert total.item() == pytest.approx(4 * sum(loss.item() for loss in seen.values()), rel=1e-5)
    assert items["classification_loss"] == seen["classification"].detach()
    return seen


def gradients(loss: torch.Tensor, parameters: list[torch.Tensor]) -> list[torch.Tensor | None]:
    return list(torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True))


def test_the_last_shared_layer_is_the_backbones_last_convolution() -> None:
    model = network()
    assert model.last_shared() is model.model[9].cv2.conv.weight  # SPPF ends YOLOv5's backbone
    for loss in losses_of(model).values():
        [found] = gradients(loss, [model.last_shared()])
        assert found is not None and found.norm() > 0


def test_neither_task_moves_what_follows_the_shared_layer_on_the_others_side() -> None:
    model = network()
    losses = losses_of(model)
    head, after = list(model.image_head.parameters()), list(model.model[10:].parameters())
    learnt = [each for each in after if each.requires_grad]
    assert all(found is None for found in gradients(losses["detection"], head))
    assert all(found is None for found in gradients(losses["classification"], learnt))


def test_two_backbones_share_nothing() -> None:
    model = network(independent=True)
    losses = losses_of(model)
    first, second = list(model.backbone.parameters()), list(model.image_backbone.parameters())
    assert all(found is None for found in gradients(losses["classification"], first))
    assert all(found is None for found in gradients(losses["detection"], second))
    assert not torch.equal(first[0], second[0]), "each starts from its own draw"
    model.begin_alike()
    assert torch.equal(first[0], second[0])


@pytest.mark.parametrize("model", ["yolo11n.yaml", "yolo26n.yaml", "yolov9t.yaml"])
def test_other_detectors_get_the_same_head(model: str) -> None:
    made = network(model)
    for loss in losses_of(made).values():
        [found] = gradients(loss, [made.last_shared()])
        assert found is not None and found.norm() > 0


def test_fused_for_serving_it_answers_as_before() -> None:
    model = network(independent=True).eval()
    picture = torch.rand(2, 3, SIDE, SIDE)
    with torch.no_grad(), quiet():
        before, raw = model(picture)
        model.fuse(verbose=False)
        model.model[-1].export = True
        boxes, probabilities = model(picture)
    assert torch.allclose(boxes, before, atol=1e-3)
    assert torch.allclose(probabilities, raw["image_logits"].softmax(1), atol=1e-5)
    assert not any("bn" in name for name, _ in model.image_head.named_modules())
