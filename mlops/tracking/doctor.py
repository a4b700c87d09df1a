"""Check this machine, the store and the outbox, before a training or after a failed one."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mlops.errors import EXTRA_OF, MlopsError
from mlops.files.private import is_open_to_others
from mlops.machine.processors import processors, users_threads
from mlops.store.location import database_file, is_database
from mlops.store.server import answers
from mlops.tracking.environment import code_state, library_versions

_LITTLE_SPACE_GB, _NO_SPACE_GB = 10.0, 1.0
_NEEDED = ("mlflow", "optuna", "torch", "ultralytics", "timm", "lightning", "onnxruntime")
_NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "lustre", "glusterfs", "ceph")


class Health(Enum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class HealthFinding:
    """One line of the report; advice: what to do, "" if nothing."""

    health: Health
    what: str
    says: str
    advice: str = ""


def look_over(home: Path, uri: str) -> list[HealthFinding]:
    """All findings, in the order in which a training needs them."""
    return [
        _python(),
        *_libraries(),
        *_devices(),
        _store(uri),
        *_outbox(home, uri),
        _disk(home),
        *_privacy(home),
        _file_system(home),
        _code(),
    ]


def _python() -> HealthFinding:
    found = ".".join(map(str, sys.version_info[:3]))
    return HealthFinding(Health.OK, "python", found)


def _libraries() -> Iterator[HealthFinding]:
    found = library_versions()
    for name in _NEEDED:
        if name in found:
            yield HealthFinding(Health.OK, name, found[name])
        else:
            health = Health.WARN if EXTRA_OF.get(name) == "train" else Health.FAIL
            extra = "'vision-mlops[train]', for training" if health is Health.WARN else name
            yield HealthFinding(health, name, "not installed", f"pip install {extra}")


def _devices() -> Iterator[HealthFinding]:
    chosen = users_threads()
    by_user = f"; {chosen} threads by OMP_NUM_THREADS" if chosen is not None else ""
    yield HealthFinding(Health.OK, "cpu", f"{processors()}{by_user}")
    try:
        import torch
    except ImportError:
        return
    for index in range(torch.cuda.device_count()):
        memory_gb = torch.cuda.get_device_properties(index).total_memory / 1e9
        yield HealthFinding(
            Health.OK, f"cuda:{index}", f"{torch.cuda.get_device_name(index)}, {memory_gb:.0f} GB"
        )
    if torch.backends.mps.is_available():
        yield HealthFinding(Health.OK, "mps", "available")
    elif not torch.cuda.is_available():
        yield HealthFinding(Health.OK, "gpu", "none found, training runs on the CPU")


def _store(uri: str) -> HealthFinding:
    if not is_database(uri):
        if answers(uri):
            return HealthFinding(Health.OK, "store", f"{uri}, an MLflow server, available")
        advice = "start it; training works without it, and `mlops sync` delivers later"
        return HealthFinding(Health.WARN, "store", f"{uri} does not answer", advice)
    file = database_file(uri)
    if file is None:
        return HealthFinding(Health.OK, "store", f"{uri}, a database used directly")
    if not file.exists():
        return HealthFinding(Health.OK, "store", f"{uri}, created by the first training")
    return _sqlite_store(file)


def _sqlite_store(file: Path) -> HealthFinding:
    import sqlite3

    try:
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
            runs = db.execute("SELECT count(*) FROM runs").fetchone()[0]
    except sqlite3.Error as error:
        return HealthFinding(
            Health.FAIL, "store", f"{file}: {error}", "move the file, or set MLFLOW_TRACKING_URI to another"
        )
    return HealthFinding(Health.OK, "store", f"{file}, SQLite used directly, {runs} runs")


def _outbox(home: Path, uri: str) -> Iterator[HealthFinding]:
    from mlops.tracking.delivery.book import DeliveryBook

    if not (home / "outbox.db").is_file():
        yield HealthFinding(Health.OK, "outbox", f"none yet in {home}")
        return
    try:
        book = DeliveryBook(home)
    except MlopsError as error:
        yield HealthFinding(Health.FAIL, "outbox", str(error))
        return
    stores = book.uris() or [uri]
    for store in stores:
        counts = book.counts(store)
        says = (
            f"{counts.delivered} delivered, {counts.pending} waiting, {counts.rejected} rejected for {store}"
        )
        if counts.rejected:
            reason = book.rejected(store)[0].reason
            yield HealthFinding(
                Health.WARN, "outbox", says, f"{reason}; fix it, then run `mlops sync --retry-rejected`"
            )
        elif counts.pending:
            held = book.blocked(store)
            yield HealthFinding(Health.WARN, "outbox", says, held[0][1] if held else "run `mlops sync`")
        else:
            yield HealthFinding(Health.OK, "outbox", says)
    book.close()


def _disk(home: Path) -> HealthFinding:
    if not (existing := _existing(home)).is_dir() or not os.access(existing, os.W_OK):
        return HealthFinding(
            Health.FAIL, "disk", f"{existing} is not a writable folder", "set MLOPS_HOME to another folder"
        )
    free_gb = shutil.disk_usage(_existing(home)).free / 1e9
    says = f"{free_gb:.1f} GB free at {_existing(home)}"
    if free_gb < _NO_SPACE_GB:
        return HealthFinding(Health.FAIL, "disk", says, "free some space, or set MLOPS_HOME to another disk")
    if free_gb < _LITTLE_SPACE_GB:
        return HealthFinding(Health.WARN, "disk", says, "checkpoints of a long study may not fit")
    return HealthFinding(Health.OK, "disk", says)


def _privacy(home: Path) -> Iterator[HealthFinding]:
    """The home has curves, parameters and files of every run, also of other people's data."""
    if home.is_dir() and is_open_to_others(home):
        says = f"{home} can be read by other users of this machine"
        yield HealthFinding(Health.WARN, "home", says, f"chmod 700 {home}")


def _file_system(home: Path) -> HealthFinding:
    """SQLite's WAL needs a local disk."""
    kind = _file_system_of(_existing(home))
    if kind in _NETWORK_FILE_SYSTEMS:
        advice = "set MLOPS_HOME to a local disk; the outbox is not safe on a network file system"
        return HealthFinding(Health.FAIL, "outbox's disk", kind, advice)
    return HealthFinding(Health.OK, "outbox's disk", kind)


def _file_system_of(folder: Path) -> str:
    """The file system type of `folder`, from the longest mount point above it; Linux only."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return "unknown"
    found = [line.split()[1:3] for line in mounts.read_text().splitlines()]
    holding = [(len(point), kind) for point, kind in found if folder.is_relative_to(point)]
    return max(holding)[1] if holding else "unknown"


def _code() -> HealthFinding:
    state = code_state()
    if not state.commit:
        return HealthFinding(
            Health.WARN, "code", "not a git checkout", "runs do not record the commit of the code"
        )
    if state.dirty:
        return HealthFinding(
            Health.WARN, "code", f"{state.commit[:12]} with changes", "commit them; a release needs a commit"
        )
    return HealthFinding(Health.OK, "code", state.commit[:12])


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
