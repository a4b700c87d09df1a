"""MLflow without what it imports for others: half of the time that a short command takes.

`import mlflow` imports pandas, polars, pyarrow, scipy and scikit-learn where they are installed, for data
sets and model signatures; its client works without them, as its package `mlflow-skinny` does. They stay
importable by whoever needs them later. Its rooms for language models, and FastAPI with them, are left out:
`import mlflow` gets by without what it cannot take from them, and so does its client, but this process can
use neither any more. Not where the store is a database, whose tables are declared with modules of
`mlflow.genai`.

Python looks through all that lives for garbage when a process ends, a third of a second for 1,300 modules
that are about to be gone. What is frozen is not looked through. So a file that is left to the collector to
be closed may lose its end: what a command writes, it writes by `with` or in one call.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_SPARED = frozenset({"pandas", "polars", "pyarrow", "scipy", "sklearn"})
_POSTPONED = frozenset({"mlflow.gateway", "mlflow.genai"})


class _Spare(MetaPathFinder):
    def __init__(self, postponed: frozenset[str]) -> None:
        self._postponed = postponed

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in _SPARED:
            raise ModuleNotFoundError(f"{name} is not needed here", name=name)
        spec = PathFinder.find_spec(name, path, target) if name in self._postponed else None
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


def import_lean() -> None:
    """Import `mlflow` so, once and for the whole process; nothing where it is imported already.

    Only for a process of one short command: `mlflow.models` and `mlflow.data` lack functions afterwards.
    """
    if "mlflow" in sys.modules:
        return
    server = os.environ.get("MLFLOW_TRACKING_URI", "").startswith(("http://", "https://"))
    spare, collecting = _Spare(_POSTPONED if server else frozenset()), gc.isenabled()
    sys.meta_path.insert(0, spare)
    gc.disable()  # the modules are kept; looking for garbage among them takes an eighth of the time
    try:
        importlib.import_module("mlflow")
        atexit.register(gc.freeze)
    except ImportError:  # an MLflow that does need one of them: it is imported anew, and whole
        for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
            del sys.modules[name]
    finally:
        sys.meta_path.remove(spare)
        gc.freeze()
        if collecting:
            gc.enable()
