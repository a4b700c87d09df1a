"""Set-up of every process of a study: data and runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlops.data import open_dataset
from mlops.data.dataset import Dataset
from mlops.search.request import StudyRequest
from mlops.search.run_book import RunBook
from mlops.search.study import Study
from mlops.search.trial import Bench
from mlops.tracking import Tracker, ensure_store
from mlops.training.threads import TrainingThreads


def read_data(request: StudyRequest) -> Dataset:
    """Open the data of `request`; the digest is cached, so a second call is fast."""
    return open_dataset(
        request.data,
        request.spec.task,
        cache=request.cache,
        class_map=request.class_map,
        version=request.data_version,
        seed=request.seed,
        classes=request.spec.classes,
        image_label=request.image_label,
    )


@contextmanager
def opened(study: Study, dataset: Dataset, threads: TrainingThreads, device: str = "") -> Iterator[Bench]:
    """The bench of one process; its tracker delivers in the background until the block ends.

    device: overrides the request's. Raises StudyMismatch before anything is recorded.
    """
    request = study.request
    study.open()
    ensure_store(request.tracking_uri)
    with Tracker(request.home, request.tracking_uri) as tracker:
        runs = RunBook(tracker, study, dataset)
        yield Bench(study, dataset, tracker, runs, device or request.device, threads)
