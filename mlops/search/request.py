"""What a study is asked to do: everything a worker needs to take part in it, as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mlops.systems.recipe import JointRecipe
from mlops.systems.spec import SystemSpec


class StudyRequest(BaseModel):
    """One call of `mlops train`, after its arguments were checked.

    spec: the system with variant, demo changes and `--set` applied.
    data: folders, files or s3:// prefixes; several are trained together through `class_map`.
    study: a name of the user's own, or "" for one made of system, data digest and space.
    address: of the Ray cluster, "" for one that is started on this machine for the study.
    adopt_run: the MLflow run that `mlflow run` made before our code started, or "".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    spec: SystemSpec
    data: tuple[str, ...]
    class_map: Path | None = None
    data_version: str = ""
    demo: bool = False
    trials: int = 1
    parallel: int = 1
    engine: Literal["local", "ray"] = "local"
    address: str = ""
    device: str = "auto"
    seed: int = 0
    study: str = ""
    register_version: bool = True
    home: Path
    tracking_uri: str
    adopt_run: str = ""
    progress: bool = True

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    @property
    def image_label(self) -> str:
        """Where an image's own class comes from; the other tasks' trainings look at none."""
        recipe = self.spec.recipe
        return recipe.image_label if isinstance(recipe, JointRecipe) else "labels.csv"

    @property
    def trial_epochs(self) -> int:
        """Length of a trial: the system's for its searches, the recipe's own for a plain training."""
        full, short = self.spec.recipe.epochs, self.spec.search.trial_epochs
        return full if short is None or self.trials == 1 else min(short, full)
