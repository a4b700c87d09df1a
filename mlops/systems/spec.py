"""One system as its YAML file declares it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from mlops.systems.recipe import ClassificationRecipe, DetectionRecipe, JointRecipe
from mlops.systems.space import Space

RECIPE_OF_TASK: dict[str, type[DetectionRecipe | ClassificationRecipe | JointRecipe]] = {
    "detection": DetectionRecipe,
    "classification": ClassificationRecipe,
    "joint": JointRecipe,
}


class SearchSpec(BaseModel):
    """How a study of this system spends its trials.

    trial_epochs: length of a trial; the best one is then fitted at the recipe's full length. None: full length.
    warmup_epochs: epochs before a trial may be pruned.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    trial_epochs: Annotated[int, Field(ge=1)] | None = None
    warmup_epochs: Annotated[int, Field(ge=0)] = 2


class SystemSpec(BaseModel):
    """A system: what it is, the recipe it is trained with, and what a search may vary.

    variants: named changes of the recipe (`--set variant=yolo26s`).
    demo: changes of the recipe when it is trained on demo data: a size that two cores finish in minutes.
    objective: the validation metric that is maximised.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    task: Literal["detection", "classification", "joint"]
    seed_report: str
    objective: str
    licence: str
    classes: tuple[str, ...]
    recipe: DetectionRecipe | ClassificationRecipe | JointRecipe
    variants: dict[str, dict[str, object]] = Field(default_factory=dict)
    demo: dict[str, object] = Field(default_factory=dict)
    space: Space = Field(default_factory=dict)
    search: SearchSpec = SearchSpec()
