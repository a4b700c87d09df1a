"""The systems: task, classes, recipe and search space."""

from __future__ import annotations

import hashlib
import json

from mlops.systems.configure import configure
from mlops.systems.loading import list_systems, load_system
from mlops.systems.recipe import AnyRecipe
from mlops.systems.spec import SystemSpec

__all__ = ["SystemSpec", "configure", "list_systems", "load_system", "recipe_digest"]


def recipe_digest(recipe: AnyRecipe) -> str:
    """SHA-256 (hex) over the recipe's keys and values."""
    return hashlib.sha256(json.dumps(recipe.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
