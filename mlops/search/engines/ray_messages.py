"""What a Ray node and the process that owns the study say to each other. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from mlops.training.protocol import EpochReport


@dataclass(frozen=True, slots=True)
class Task:
    """One training for a node.

    request: a StudyRequest as JSON, without the store's address. recipe: all of its values.
    name: of the trial's folder on the node, the same whenever the trial is tried again.
    data_digest: what the data must be there. version: of this product, which must be the node's too.
    """

    request: str
    recipe: Mapping[str, object]
    name: str
    data_digest: str
    version: str


@dataclass(frozen=True, slots=True)
class Begun:
    """host: the node's name. node_id: Ray's."""

    host: str
    node_id: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Metrics beside the epochs: the node's processors, memory and GPU."""

    series: str
    step: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class FilePart:
    """The next bytes of a file; name: relative to the trial's folder, with `/`. first: begin it anew."""

    name: str
    first: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """A TrainResult with its files by name; they were sent before it."""

    best_weights: str
    last_weights: str
    best_epoch: int
    best_metrics: Mapping[str, float]
    epochs_done: int
    parameters: int
    artifacts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Failed:
    """One of our errors, by the name of its class."""

    kind: str
    says: str


Message: TypeAlias = Begun | EpochReport | Figures | FilePart
