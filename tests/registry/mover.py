"""One process that moves one version, for tests that start several, or kill one."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from mlops.errors import MlopsError
from mlops.store.client import connect
from registry.ledger.entry import Action, Stage
from registry.stages.lifecycle import Draft, record
from registry.stages.model_state import begin
from tests.registry.shelves import open_policy


def main(uri: str, model: str, version: str, stage: str, starting_line: str = "") -> int:
    """Move `version` to `stage`; with a starting line, wait beside it (a file) once everything is read."""
    try:
        scene = begin(connect(uri), model, open_policy(model))
        if starting_line:
            Path(f"{starting_line}.{version}.ready").touch()
            while not Path(starting_line).exists():
                time.sleep(0.001)
        record(scene, Draft(Action.PROMOTE, version, Stage(stage)))
    except MlopsError as error:
        print(f"{type(error).__name__}: {error}")  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
