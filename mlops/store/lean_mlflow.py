"""Import MLflow without its optional dependencies, which halves the time of a short command.

`import mlflow` imports pandas, polars, pyarrow, scipy and scikit-learn if they are installed, for data sets
and model signatures; its client works without them, like the package `mlflow-skinny`. They can still be
imported later. The packages for language models, and FastAPI with them, are also skipped and cannot be used
in this process any more; except if the store is a database, whose tables are declared in `mlflow.genai`.

At the end of a process Python collects garbage in all live objects, which takes a third of a second for 1,300
modules. Frozen objects are skipped. As a consequence, a file that only the collector closes may be truncated:
commands must write files in a `with` block or in one call.
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
    """Import `mlflow` this way for the whole process; does nothing if it is imported already.

    Only for a process of one short command: functions of `mlflow.models` and `mlflow.data` are missing
    afterwards.
    """
    if "mlflow" in sys.modules:
        return
    server = os.environ.get("MLFLOW_TRACKING_URI", "").startswith(("http://", "https://"))
    spare, collecting = _Spare(_POSTPONED if server else frozenset()), gc.isenabled()
    sys.meta_path.insert(0, spare)
    gc.disable()  # collecting garbage takes an eighth of the import time, and the modules are kept
    try:
        importlib.import_module("mlflow")
        atexit.register(gc.freeze)
    except ImportError:  # this MLflow needs one of them: import it again, completely
        for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
            del sys.modules[name]
    finally:
        sys.meta_path.remove(spare)
        gc.freeze()
        if collecting:
            gc.enable()
