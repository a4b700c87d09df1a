"""One system as its YAML file declares it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from mlops.systems.recipe import AnyRecipe, ClassificationRecipe, DetectionRecipe, JointRecipe, Recipe
from mlops.systems.space import Space

RECIPE_OF_TASK: dict[str, type[AnyRecipe]] = {
    "detection": DetectionRecipe,
    "classification": ClassificationRecipe,
    "joint": JointRecipe,
}


class SearchSpec(BaseModel):
    """How a study of this system spends its trials.

    trial_epochs: length of a trial; the best is then fitted at the recipe's length. None: full length.
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
    headline: str = ""
    task: Literal["detection", "classification", "joint"]
    seed_report: str
    objective: str
    licence: str
    classes: tuple[str, ...]
    recipe: AnyRecipe
    variants: dict[str, dict[str, object]] = Field(default_factory=dict)
    demo: dict[str, object] = Field(default_factory=dict)
    space: Space = Field(default_factory=dict)
    search: SearchSpec = SearchSpec()

    @field_validator("recipe", mode="before")
    @classmethod
    def _recipe_of_the_task(cls, given: Any, info: ValidationInfo) -> Any:
        """Read the recipe as its task's class, so that an error names that class's keys and no other's."""
        kind = RECIPE_OF_TASK.get(info.data.get("task", ""))
        if kind is None or isinstance(given, Recipe):
            return given
        return kind.model_validate(given)
