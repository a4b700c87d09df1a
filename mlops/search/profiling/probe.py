"""Measure one variant in a separate process, so that out of memory or a crash affects no other variant.

Prints one line of JSON: `{"images_per_s": ..., "memory_bytes": ...}` or `{"failed": "why"}`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from mlops.data.dataset import ClassificationDataset, Dataset, LabelledImages
from mlops.errors import MlopsError
from mlops.search.context import read_data
from mlops.search.engines.worker import end_with_parent
from mlops.search.request import StudyRequest
from mlops.search.suggest import with_values
from mlops.terminal.progress import watched_batches
from mlops.training import trainer_for
from mlops.training.device import find_device
from mlops.training.protocol import TrainConfig, Verdict

if TYPE_CHECKING:
    from mlops.systems.recipe import AnyRecipe

_MOST_BATCHES = 64
_LEAST_MEASURED = 3
# without weights, patience and frozen layers, as in most of a training
_AS_MEASURED = {"epochs": 1000, "patience": 0, "weights": "none", "freeze_epochs": 0, "freeze_layers": 0}


@dataclass
class Clock:
    """Measures the time from batch to batch within an epoch, after a warm-up.

    warm_up: batches that are not counted. wanted_s: measured time until `enough` is true.
    """

    warm_up: int
    wanted_s: float
    intervals_s: list[float] = field(default_factory=list)
    _seen: int = 0
    _last: tuple[int, float] = (0, 0.0)

    def tick(self, epoch: int, now: float) -> None:
        """Call when a batch of `epoch` ends at `now`, in seconds. Time between two epochs is not counted."""
        if self._seen >= self.warm_up and self._last[0] == epoch:
            self.intervals_s.append(now - self._last[1])
        self._seen += 1
        self._last = (epoch, now)

    @property
    def enough(self) -> bool:
        return len(self.intervals_s) >= _LEAST_MEASURED and sum(self.intervals_s) >= self.wanted_s


def main(request_file: str, changes: str, folder: str, parent: str, wanted_s: str) -> NoReturn:
    """Train until enough is measured, then exit at once without keeping anything."""
    end_with_parent(int(parent))
    request = StudyRequest.model_validate_json(Path(request_file).read_text(encoding="utf-8"))
    try:
        _measure(request, json.loads(changes), Path(folder), float(wanted_s))
    except MlopsError as error:
        _leave({"failed": getattr(error, "reason", "") or str(error)})
    _leave({"failed": "the training ended before enough was measured"})


def _measure(request: StudyRequest, changes: dict[str, object], folder: Path, wanted_s: float) -> None:
    recipe = with_values(request.spec.recipe, {**_known(request.spec.recipe, _AS_MEASURED), **changes})
    if getattr(recipe, "compile", False) == "auto":  # it would decide by the 1000 epochs
        recipe = with_values(recipe, {"compile": False})
    dataset = first_batches(read_data(request), recipe.batch)
    on_cuda = find_device(request.device).startswith("cuda")
    clock = Clock(warm_up=10 if on_cuda else 2, wanted_s=wanted_s)
    images = min(recipe.batch, len(dataset.splits["train"]))

    def tick(epoch: int) -> None:
        clock.tick(epoch, time.perf_counter())
        if clock.enough:
            speed = images * len(clock.intervals_s) / sum(clock.intervals_s)
            _leave({"images_per_s": speed, "memory_bytes": _memory_bytes(on_cuda)})

    config = TrainConfig(
        recipe, dataset, folder / "trial", device=request.device, progress=False, cache=folder / "cache"
    )
    with watched_batches(tick):
        trainer_for(request.spec.task).fit(config, lambda _: Verdict.CONTINUE)


def first_batches(dataset: Dataset, batch: int) -> Dataset:
    """The data set with as many training batches as needed and as few validation images as possible.

    An epoch needs four batches for one counted interval; a smaller set is returned unchanged.
    """
    size = len(dataset.splits["train"])
    kept = min(max(size // batch, 1), _MOST_BATCHES) * batch
    identity = replace(dataset.identity, digest=f"{kept:08d}{dataset.identity.digest}")
    if isinstance(dataset, ClassificationDataset):
        train, val = dataset.splits["train"], dataset.splits["val"]
        return replace(
            dataset, identity=identity, splits={"train": _first(train, kept), "val": _first(val, batch)}
        )
    return replace(
        dataset,
        identity=identity,
        splits={"train": dataset.splits["train"][:kept], "val": dataset.splits["val"][:batch]},
    )


def _first(split: LabelledImages, count: int) -> LabelledImages:
    return LabelledImages(split.images[:count], split.labels[:count], split.sources[:count])


def _known(recipe: AnyRecipe, values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if name in type(recipe).model_fields}


def _memory_bytes(on_cuda: bool) -> int:
    if on_cuda:
        import torch

        return int(torch.cuda.max_memory_reserved())
    import resource

    import psutil

    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(own + sum(child.memory_info().rss for child in psutil.Process().children(recursive=True)))


def _leave(said: Mapping[str, object]) -> NoReturn:
    """Print the result and exit without running handlers or waiting for threads of the libraries."""
    sys.__stdout__.write(json.dumps(said) + "\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
