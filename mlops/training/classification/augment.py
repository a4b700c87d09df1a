"""Random changes of training pictures, drawn anew for each picture of a batch (kornia)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from mlops.systems.recipe import ClassificationRecipe


def augmentation(recipe: ClassificationRecipe) -> nn.Module | None:
    """Takes and gives (B, 3, H, W) floats in 0..1; None where the recipe changes nothing.

    `degrees` and `scale` draw evenly from -degrees..degrees and 1-scale..1+scale; what comes into the picture
    from outside is its border repeated. `brightness`, `contrast` and `saturation` draw a factor from
    1-value..1+value, of a blend with black, the mean grey and the grey picture, as in torchvision.
    """
    import kornia.augmentation as K  # noqa: N812 - its own convention

    steps: list[Any] = []
    if recipe.hflip:
        steps.append(K.RandomHorizontalFlip(p=recipe.hflip))
    if recipe.vflip:
        steps.append(K.RandomVerticalFlip(p=recipe.vflip))
    if recipe.degrees or recipe.scale:
        zoom = (1 - recipe.scale, 1 + recipe.scale)
        steps.append(K.RandomAffine(recipe.degrees, scale=zoom, padding_mode="border", p=1.0))
    if recipe.brightness or recipe.contrast or recipe.saturation:
        steps.append(K.ColorJitter(recipe.brightness, recipe.contrast, recipe.saturation, p=1.0))
    return nn.Sequential(*steps) if steps else None
