"""What every process of a study sets up alike: data read, runs at hand."""

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


def read_data(request: StudyRequest) -> Dataset:
    """Open what `request` names; the digest is remembered, so a second call is quick."""
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
def opened(study: Study, dataset: Dataset, device: str = "") -> Iterator[Bench]:
    """The bench of one process; its tracker delivers in the background while it is open.

    device: in place of the request's. Raises StudyMismatch before anything is recorded.
    """
    request = study.request
    study.open()
    ensure_store(request.tracking_uri)
    with Tracker(request.home, request.tracking_uri) as tracker:
        yield Bench(study, dataset, tracker, RunBook(tracker, study, dataset), device or request.device)
