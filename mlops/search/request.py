"""The request of a study: everything that a worker needs, as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from mlops.store.credentials import store_uri
from mlops.systems.recipe import JointRecipe
from mlops.systems.spec import SystemSpec


class StudyRequest(BaseModel):
    """One call of `mlops train`, after checking its arguments.

    spec: the system with variant, demo changes and `--set` applied.
    data: folders, files or s3:// prefixes; several are merged with `class_map`.
    study: the user's name, or "" for one from system, data digest and space.
    address: of the Ray cluster, "" to start one on this machine for the study.
    tracking_uri: of the store; its login is remembered in this process and not part of the request.
    adopt_run: the MLflow run that `mlflow run` created before our code started, or "".
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

    @field_validator("tracking_uri")
    @classmethod
    def _without_login(cls, uri: str) -> str:
        return store_uri(uri)

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    @property
    def image_label(self) -> str:
        """The source of an image's class; not used by the other tasks."""
        recipe = self.spec.recipe
        return recipe.image_label if isinstance(recipe, JointRecipe) else "labels.csv"

    @property
    def trial_epochs(self) -> int:
        """Epochs of a trial: the system's for a search, the recipe's for a plain training."""
        full, short = self.spec.recipe.epochs, self.spec.search.trial_epochs
        return full if short is None or self.trials == 1 else min(short, full)
