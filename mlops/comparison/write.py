"""A comparison into a folder: Markdown, a picture, JSON; all of them or none."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from mlops.comparison.result import Comparison
from mlops.comparison.text import as_markdown

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
