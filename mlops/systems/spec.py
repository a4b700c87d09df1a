"""One system, as declared in its YAML file."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from mlops.files.limits import CLASS_NAME_CHARACTERS
from mlops.files.typed_yaml import Strict, StrictSettings
from mlops.systems.recipe import MOST, AnyRecipe, ClassificationRecipe, DetectionRecipe, JointRecipe, Recipe
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
    """Length of the trials of a study."""

    trial_epochs: Annotated[int, Field(ge=1, le=MOST)] | None = Field(
        default=None,
        description="epochs of a trial; the best is then trained with all epochs; none: all epochs",
    )
    warmup_epochs: Annotated[int, Field(ge=0, le=MOST)] = Field(
        default=2, description="epochs before a trial may be pruned"
    )


class SystemSpec(Strict):
    """A system: description, recipe and search space.

    seed_report: the report that the recipe comes from, or ""; headline: its metrics.
    objective: the validation metric that is maximised.
    variants: named changes of the recipe (`--set variant=yolo26s`).
    demo: changes of the recipe for demo data, so that two cores finish in minutes.
    """

    name: str
    title: str
    task: Literal["detection", "classification", "joint"]
    seed_report: str = ""
    headline: str = ""
    objective: str
    licence: str
    classes: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="a list of unique class names"
    )
    recipe: AnyRecipe = Field(description="the recipe's keys and values")
    variants: dict[str, dict[str, object]] = Field(
        default_factory=dict, description="names, each with recipe keys and their values"
    )
    demo: dict[str, object] = Field(
        default_factory=dict, description="recipe keys and their values on demo data"
    )
    space: Space = Field(default_factory=dict, description="recipe keys, each with a range")
    search: SearchSpec = Field(default=SearchSpec(), description="trial_epochs and warmup_epochs")

    @field_validator("name")
    @classmethod
    def _name_of_a_model(cls, given: str) -> str:
        """The name is also used for the registered model and a folder."""
        if len(given) > 100 or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", given):
            raise ValueError("up to 100 lower-case letters and digits, with hyphens between them")
        return given

    @field_validator("classes")
    @classmethod
    def _classes_once(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(given)) < len(given):
            raise ValueError("unique class names")
        if max(map(len, given)) > CLASS_NAME_CHARACTERS:
            raise ValueError(f"class names of at most {CLASS_NAME_CHARACTERS} characters")
        return given

    @field_validator("objective")
    @classmethod
    def _objective_of_the_task(cls, given: str, info: ValidationInfo) -> str:
        known = OBJECTIVES.get(info.data.get("task", ""), (given,))
        if given not in known:
            raise ValueError(f"a metric that the trainer reports every epoch: {', '.join(known)}")
        return given

    @field_validator("recipe", mode="before")
    @classmethod
    def _recipe_of_the_task(cls, given: Any, info: ValidationInfo) -> Any:
        """Validate the recipe as its task's class, so that an error names only the keys of this class."""
        kind = RECIPE_OF_TASK.get(info.data.get("task", ""))
        if kind is None or isinstance(given, Recipe):
            return given
        return kind.model_validate(given)
