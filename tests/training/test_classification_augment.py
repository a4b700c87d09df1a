"""Each augmentation changes training pictures, as its name says, and none of them at 0."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mlops.training.classification.batches import augmentation
from tests.training.classification_case import tiny_dataset, tiny_recipe


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    images = tiny_dataset().splits["train"].images
    return torch.from_numpy(np.asarray(images)[:24]).permute(0, 3, 1, 2).float().div(255)


def changed(pictures: Tensor, seed: int = 0, **recipe: Any) -> Tensor:
    change = augmentation(tiny_recipe(**recipe))
    assert change is not None
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        out: Tensor = change(pictures.clone())
    return out


SETTINGS: dict[str, Any] = {
    "hflip": 0.5,
    "vflip": 0.5,
    "degrees": 20.0,
    "scale": 0.2,
    "brightness": 0.3,
    "contrast": 0.3,
    "saturation": 0.3,
}


def test_a_recipe_of_zeros_changes_nothing() -> None:
    assert augmentation(tiny_recipe(**dict.fromkeys(SETTINGS, 0.0))) is None


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_changes_pictures_and_keeps_them_pictures(name: str, pictures: Tensor) -> None:
    out = changed(pictures, **{name: SETTINGS[name]})
    assert out.shape == pictures.shape
    assert out.dtype == torch.float32
    assert float(out.min()) >= 0
    assert float(out.max()) <= 1
    touched = (out - pictures).abs().amax((1, 2, 3)) > 0.01
    assert touched.float().mean() > 0.2


@pytest.mark.parametrize("name", SETTINGS)
def test_each_picture_of_a_batch_is_drawn_for_itself(name: str, pictures: Tensor) -> None:
    same = pictures[1:2].repeat(16, 1, 1, 1)
    out = changed(same, **{name: SETTINGS[name]})
    assert any(not torch.allclose(out[0], other, atol=1e-3) for other in out[1:])


@pytest.mark.parametrize("name", SETTINGS)
def test_the_same_seed_draws_the_same_changes(name: str, pictures: Tensor) -> None:
    first, again, other = (changed(pictures, seed, **{name: SETTINGS[name]}) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_flips_are_mirror_images(pictures: Tensor) -> None:
    assert torch.equal(changed(pictures, hflip=1.0), pictures.flip(3))
    assert torch.equal(changed(pictures, vflip=1.0), pictures.flip(2))


def test_a_turn_lets_no_black_corners_in(pictures: Tensor) -> None:
    bright = pictures.clamp(min=0.25)
    assert changed(bright, degrees=45.0).min() > 0.2


def test_brightness_scales_a_picture(pictures: Tensor) -> None:
    dark = pictures * 0.5  # far from white, where a brighter picture is cut off
    ratio = changed(dark, brightness=0.3).mean((1, 2, 3)) / dark.mean((1, 2, 3))
    assert ratio.min() >= 0.7 - 1e-3
    assert ratio.max() <= 1.3 + 1e-3
    assert ratio.max() - ratio.min() > 0.2


def test_contrast_spreads_a_picture_about_its_mean(pictures: Tensor) -> None:
    middling = 0.35 + 0.3 * pictures
    out = changed(middling, contrast=0.3)
    assert torch.allclose(out.mean((1, 2, 3)), middling.mean((1, 2, 3)), atol=0.02)
    spread = out.std((1, 2, 3)) / middling.std((1, 2, 3))
    assert spread.min() >= 0.65
    assert spread.max() <= 1.35
    assert spread.max() - spread.min() > 0.2


def test_saturation_leaves_a_grey_picture_alone(pictures: Tensor) -> None:
    grey = pictures.mean(1, keepdim=True).repeat(1, 3, 1, 1)
    assert torch.allclose(changed(grey, saturation=0.5), grey, atol=1e-3)
