"""One worker process of the local engine; started by `local`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from mlops.errors import MlopsError
from mlops.redaction import redact_output
from mlops.search.context import opened, read_data
from mlops.search.engines.local import termination_as_interrupt, work
from mlops.search.request import StudyRequest
from mlops.search.study import Study, identity_of
from mlops.training.threads import TrainingThreads

_POLL_S = 0.5


def end_with_parent(parent: int) -> None:
    """Exit when the command that started this worker has ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_S)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _device(request: StudyRequest, number: int) -> str:
    """The device of a worker: CUDA devices in turn; any other device is shared."""
    import torch

    if request.device in ("auto", "cuda") and torch.cuda.device_count() > 1:
        return f"cuda:{(number - 1) % torch.cuda.device_count()}"
    return request.device


def main(file: str, parent: str, number: str, budget: str, forgiven: str) -> int:
    """Run trials until none is left. Returns the exit code."""
    redact_output()
    request = StudyRequest.model_validate_json(Path(file).read_text(encoding="utf-8"))
    request = request.model_copy(update={"progress": False, "adopt_run": ""})
    try:
        with termination_as_interrupt():
            end_with_parent(int(parent))
            threads = TrainingThreads()
            device = _device(request, int(number))
            dataset = read_data(request)
            study = Study(request, identity_of(request, dataset.identity))
            with opened(study, dataset, threads, device) as bench:
                work(bench, int(budget), int(forgiven))
    except KeyboardInterrupt:
        return 0
    except MlopsError as error:
        sys.stderr.write(f"mlops: worker {number}: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
