"""The bundle: written to a temporary folder, moved to its path in one step, verified by its digests.

model.onnx ...      the model files
predict.py          predicts for an image; needs only onnxruntime, pillow and numpy
check.png           an image to try it on; the expected output is in the manifest
certificate.json    the result for each file; certificate.md is the same as text
manifest.json       digests and provenance
SHA256SUMS          digests of all files, for `sha256sum -c SHA256SUMS`
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops.errors import DiskFull, UserError
from mlops.files.atomic import folder_beside, move_folder, sync_tree
from mlops.files.digests import sha256_of

MANIFEST, SUMS, CERTIFICATE, PAGE = "manifest.json", "SHA256SUMS", "certificate.json", "certificate.md"
PREDICT, CHECK = "predict.py", "check.png"
_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """faults: a message for each changed, added or missing file. digest: SHA-256 of `SHA256SUMS`, which
    identifies the whole bundle.
    """

    bundle: str
    model: str
    version: str
    files: int
    digest: str
    faults: tuple[str, ...]

    @property
    def well(self) -> bool:
        return not self.faults


@contextmanager
def workplace(out: Path) -> Iterator[Path]:
    """A temporary folder next to `out`; removed at the end of the block unless `publish` moved it.

    Raises UserError if `out` exists, DiskFull if the disk is full.
    """
    refuse_taken(out)
    try:
        with folder_beside(out) as work:
            yield work
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(str(out.absolute().parent), "the bundle") from error
        raise


def publish(work: Path, out: Path) -> None:
    """Move the folder to `out` in one step. Raises UserError if `out` exists by now."""
    sync_tree(work)  # so that the bundle is complete even after a power failure
    refuse_taken(out)
    try:
        move_folder(work, out, "refuse")
    except OSError as error:
        raise UserError(f"{out} was created by another process; choose another --out") from error


def refuse_taken(out: Path) -> None:
    """Raises UserError if `out` exists: a bundle is never overwritten."""
    if out.exists() or out.is_symlink():
        raise UserError(f"{out} already exists; remove it or choose another --out")


def seal(folder: Path) -> str:
    """Write `SHA256SUMS` for all files in `folder`; returns its SHA-256."""
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests_in(folder).items()))
    (folder / SUMS).write_text(text, encoding="utf-8")
    return sha256_of(folder / SUMS)


def digests_in(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder` except `SHA256SUMS`, by relative path; "none" for links, pipes."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            found[name] = "none"
        elif path.is_file() and name != SUMS:
            found[name] = sha256_of(path)
    return found


def verify(folder: Path) -> VerifiedBundle:
    """Compare a bundle with its `SHA256SUMS`, and that with the manifest.

    Raises UserError for a folder that is not a bundle.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; pass a bundle written by `mlops export`")
    if not (folder / SUMS).is_file() and not (folder / MANIFEST).is_file():
        raise UserError(
            f"{folder} is not a bundle ({MANIFEST} and {SUMS} are missing); "
            "pass a bundle written by `mlops export`"
        )
    there = digests_in(folder)
    listed, faults = _listed(folder)
    for name in sorted({*listed, *there}):
        if name not in there:
            faults.append(f"{name} is missing")
        elif name not in listed:
            faults.append(f"{name} was added")
        elif there[name] != listed[name]:
            faults.append(f"{name} was changed")
    manifest = _manifest(folder)
    if manifest is None:
        faults += (
            [] if any(fault.startswith(MANIFEST) for fault in faults) else [f"{MANIFEST} cannot be read"]
        )
    else:
        named = {name: held["sha256"] for name, held in manifest["files"].items()}
        others = {name: digest for name, digest in listed.items() if name != MANIFEST}
        if not faults and named != others:
            faults.append(f"{MANIFEST} and {SUMS} do not list the same files")
    said = manifest or {}
    digest = sha256_of(folder / SUMS) if (folder / SUMS).is_file() else ""
    return VerifiedBundle(
        str(folder),
        str(said.get("model", "")),
        str(said.get("version", "")),
        len(there),
        digest,
        tuple(faults),
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """Raises UserError if the manifest is missing or invalid."""
    manifest = _manifest(folder)
    if manifest is None:
        raise UserError(f"{folder / MANIFEST} is not the manifest of a bundle")
    return manifest


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        held = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = held["files"]
        return held if all(isinstance(each["sha256"], str) for each in files.values()) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _listed(folder: Path) -> tuple[dict[str, str], list[str]]:
    """The content of `SHA256SUMS`; any deviation from the written form is a fault."""
    try:
        text = (folder / SUMS).read_text(encoding="utf-8")
    except OSError:
        return {}, [f"{SUMS} is missing"]
    except UnicodeDecodeError:
        return {}, [f"{SUMS} was changed"]
    matched = [_LINE.fullmatch(line) for line in text.split("\n")[:-1]]
    listed = {each[2]: each[1] for each in matched if each is not None}
    written = "".join(f"{digest}  {name}\n" for name, digest in sorted(listed.items()))
    return listed, [] if written == text else [f"{SUMS} was changed"]
