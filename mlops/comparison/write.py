"""A comparison as files, into a folder or onto runs: Markdown, a picture, JSON; all of them or none."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.comparison.result import Comparison
from mlops.comparison.text import as_markdown
from mlops.tracking.names import folder_name
from mlops.tracking.store.client import asking

if TYPE_CHECKING:
    from mlflow import MlflowClient

ON_RUNS = "comparisons"
MARKDOWN, PICTURE, JSON = "comparison.md", "comparison.png", "comparison.json"


def write(found: Comparison, values: object, folder: Path) -> tuple[Path, ...]:
    """values: `found` as what JSON knows. What an earlier comparison wrote there is replaced.

    Raises OSError where nothing can be written there.
    """
    from mlops.comparison.figure import draw_differences

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".comparison-", dir=folder) as name:
        draft = Path(name)
        (draft / MARKDOWN).write_text(as_markdown(found, PICTURE), encoding="utf-8")
        (draft / JSON).write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        draw_differences(found, draft / PICTURE)
        return tuple((draft / each).replace(folder / each) for each in (MARKDOWN, PICTURE, JSON))


def log(client: MlflowClient, found: Comparison, values: object) -> str:
    """Put the same onto the run of every training compared, where the MLflow UI shows it.

    Returns the folder on them, which is the same for the same names: what was there is replaced.
    """
    parties = [found.baseline, *(against.candidate for against in found.candidates)]
    kept = f"{ON_RUNS}/{folder_name('-and-'.join(party.name.replace('/', '-') for party in parties))}"
    with tempfile.TemporaryDirectory(prefix="mlops-comparison-") as folder:
        write(found, values, Path(folder))
        for run in (run for party in parties for run in party.runs):
            with asking(f"logging the comparison to run {run}"):
                client.log_artifacts(run, folder, kept)
    return kept
