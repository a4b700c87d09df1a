"""Choose a trial's recipe from a search space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops.systems.recipe import AnyRecipe
from mlops.systems.space import Choice, FloatRange, Space

if TYPE_CHECKING:
    import optuna


def suggest(trial: optuna.Trial, space: Space) -> dict[str, object]:
    """Ask `trial` for a value of every range; the same trial always gives the same values."""
    chosen: dict[str, object] = {}
    for name, span in space.items():
        if isinstance(span, Choice):
            chosen[name] = trial.suggest_categorical(name, span.values)
        elif isinstance(span, FloatRange):
            chosen[name] = trial.suggest_float(name, span.low, span.high, log=span.log)
        else:
            chosen[name] = trial.suggest_int(name, span.low, span.high, step=span.step)
    return chosen


def with_values(recipe: AnyRecipe, values: dict[str, object]) -> AnyRecipe:
    """`recipe` with some values replaced, validated again."""
    return type(recipe).model_validate({**recipe.model_dump(), **values})


def recipe_point(recipe: AnyRecipe, space: Space) -> dict[str, object]:
    """The recipe's values of the searched names, for trial 0."""
    values = recipe.model_dump()
    return {name: values[name] for name in space}
