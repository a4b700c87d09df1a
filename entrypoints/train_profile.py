"""`mlops train --profile`: what it measures, printed."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from entrypoints.output import show

if TYPE_CHECKING:
    from mlops.search import StudyRequest
    from mlops.search.profiling import Profile


def show_profile(request: StudyRequest, budget_s: float, as_json: bool) -> None:
    """Measure and print; progress goes to a terminal only. Without data: on demo data, which go again."""
    from mlops.data import demo_dataset
    from mlops.search.profiling import as_text

    with TemporaryDirectory(prefix="mlops-profile-demo-") as folder:
        if request.demo:
            made = demo_dataset(request.spec.name, Path(folder) / "data", seed=request.seed)
            request = request.model_copy(update={"data": (str(made),)})
        profile = _measured(request, budget_s)
    text = as_text(profile.system, profile.device, profile.pictures, profile.measured, profile.advice)
    show(profile, as_json, text)


def _measured(request: StudyRequest, budget_s: float) -> Profile:
    from rich.console import Console

    from mlops.search.profiling import profile_training

    console = Console(stderr=True)
    if not console.is_terminal:
        return profile_training(request, budget_s)
    with console.status("measuring") as status:
        return profile_training(request, budget_s, lambda what: status.update(f"measuring {what}"))
