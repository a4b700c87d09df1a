"""One system as its YAML file declares it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from mlops.files.typed_yaml import Strict, StrictSettings
from mlops.systems.recipe import AnyRecipe, ClassificationRecipe, DetectionRecipe, JointRecipe, Recipe
from mlops.systems.space import Space

RECIPE_OF_TASK: dict[str, type[AnyRecipe]] = {
    "detection": DetectionRecipe,
    "classification": ClassificationRecipe,
    "joint": JointRecipe,
}
TRAINED_BY = {
    "detection": "Ultralytics",
    "classification": "Lightning, timm",
    "joint": "Ultralytics, GradNorm",
}
_BOXES = ("val/mAP50-95", "val/mAP50", "val/precision", "val/recall")
_CLASSES = ("val/macro_f1", "val/accuracy")
OBJECTIVES: dict[str, tuple[str, ...]] = {
    "detection": _BOXES,
    "classification": _CLASSES,
    "joint": (*_BOXES, *_CLASSES),
}


class SearchSpec(StrictSettings):
    """How a study of this system spends its trials."""

    trial_epochs: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="length of a trial; the best is then fitted at full length; none: full length",
    )
    warmup_epochs: Annotated[int, Field(ge=0)] = Field(
        default=2, description="epochs before a trial may be pruned"
    )


class SystemSpec(Strict):
    """A system: what it is, the recipe it is trained with, and what a search may vary.

    seed_report: the report that the recipe comes from, "" where there is none; headline: its figures.
    objective: the validation metric that is maximised.
    variants: named changes of the recipe (`--set variant=yolo26s`).
    demo: changes of the recipe when it is trained on demo data: a size that two cores finish in minutes.
    """

    name: str
    title: str
    task: Literal["detection", "classification", "joint"]
    seed_report: str = ""
    headline: str = ""
    objective: str
    licence: str
    classes: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="a list of the classes' names, each once"
    )
    recipe: AnyRecipe = Field(description="the recipe's keys and values")
    variants: dict[str, dict[str, object]] = Field(
        default_factory=dict, description="names, each with keys of the recipe and their other values"
    )
    demo: dict[str, object] = Field(
        default_factory=dict, description="keys of the recipe and their values on demo data"
    )
    space: Space = Field(default_factory=dict, description="keys of the recipe, each with a range")
    search: SearchSpec = Field(default=SearchSpec(), description="trial_epochs and warmup_epochs")

    @field_validator("name")
    @classmethod
    def _name_of_a_model(cls, given: str) -> str:
        """It is also the registered model's name and a folder's."""
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", given):
            raise ValueError("small letters, digits and hyphens between them")
        return given

    @field_validator("classes")
    @classmethod
    def _classes_once(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(given)) < len(given):
            raise ValueError("each class once")
        return given

    @field_validator("objective")
    @classmethod
    def _objective_of_the_task(cls, given: str, info: ValidationInfo) -> str:
        known = OBJECTIVES.get(info.data.get("task", ""), (given,))
        if given not in known:
            raise ValueError(f"what the trainer reports every epoch: {', '.join(known)}")
        return given

    @field_validator("recipe", mode="before")
    @classmethod
    def _recipe_of_the_task(cls, given: Any, info: ValidationInfo) -> Any:
        """Read the recipe as its task's class, so that an error names that class's keys and no other's."""
        kind = RECIPE_OF_TASK.get(info.data.get("task", ""))
        if kind is None or isinstance(given, Recipe):
            return given
        return kind.model_validate(given)
