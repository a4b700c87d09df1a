"""What a classifier learns from a picture file, whatever the file holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlops.data.dataset import ClassificationDataset, Identity, LabelledImages
from mlops.training.classification.batches import decoded


@pytest.mark.parametrize("mode", ["16 bits", "RGBA", "P"])
def test_a_picture_is_learnt_from_as_its_8_bits_a_channel(tmp_path: Path, mode: str) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (12, 10), dtype=np.uint8)
    plain, odd = tmp_path / "plain.png", tmp_path / "odd.png"
    Image.fromarray(grey).save(plain)
    if mode == "16 bits":
        Image.fromarray(grey.astype(np.uint16) * 256 + 7).save(odd)
    else:
        Image.fromarray(grey).convert(mode).save(odd)
    train = LabelledImages(images=(plain, odd), labels=np.array([0, 1]))
    dataset = ClassificationDataset(Identity("odd", str(tmp_path), "d" * 64), ("a", "b"), {"train": train})
    first, second = decoded(dataset, "train", 8, tmp_path / "cache")
    np.testing.assert_array_equal(first, second)
