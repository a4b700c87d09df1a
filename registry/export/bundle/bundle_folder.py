"""The folder that is deployed: written beside its place, moved there whole, held against its digests later.

model.onnx ...      the files
predict.py          what a picture shows, with onnxruntime, pillow and numpy alone
check.png           a picture to try it on; what predict.py says of it is in the manifest
certificate.json    what was found of each file, and certificate.md to read
manifest.json       digests, and where everything comes from
SHA256SUMS          of every file, the manifest too: `sha256sum -c SHA256SUMS` reads it
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
    """faults: one sentence for each file that is not as it was written; () when all are. digest: SHA-256 of
    `SHA256SUMS`, which stands for the whole bundle.
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
    """A folder beside `out` to write into, gone at the end of the block unless `publish` moved it.

    Raises UserError where something lies at `out`, DiskFull where what is written does not fit.
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
    """Move what was written to its place in one step. Raises UserError where something appeared there."""
    sync_tree(work)  # so that after a power cut what lies at the bundle's place is whole
    refuse_taken(out)
    try:
        move_folder(work, out, "refuse")
    except OSError as error:
        raise UserError(f"{out} appeared meanwhile; name another --out") from error


def refuse_taken(out: Path) -> None:
    """Raises UserError where something lies at `out`: no bundle is ever written over."""
    if out.exists() or out.is_symlink():
        raise UserError(f"{out} is there already; name another --out, or remove it")


def seal(folder: Path) -> str:
    """Write `SHA256SUMS` over everything in `folder`; its own SHA-256."""
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests_in(folder).items()))
    (folder / SUMS).write_text(text, encoding="utf-8")
    return sha256_of(folder / SUMS)


def digests_in(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder`, by its path there; `SHA256SUMS` left out. What is neither file
    nor folder has no digest: a link, a pipe.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            found[name] = "none"
        elif path.is_file() and name != SUMS:
            found[name] = sha256_of(path)
    return found


def verify(folder: Path) -> VerifiedBundle:
    """Hold a bundle against `SHA256SUMS`, and that against the manifest.

    Raises UserError for a folder that is no bundle at all.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; give a bundle that `mlops export` wrote")
    if not (folder / SUMS).is_file() and not (folder / MANIFEST).is_file():
        raise UserError(f"{folder} is no bundle: it holds neither {MANIFEST} nor {SUMS}")
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
    """Raises UserError where there is none, or it is none of ours."""
    manifest = _manifest(folder)
    if manifest is None:
        raise UserError(f"{folder / MANIFEST} is no manifest of a bundle")
    return manifest


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        held = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = held["files"]
        return held if all(isinstance(each["sha256"], str) for each in files.values()) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _listed(folder: Path) -> tuple[dict[str, str], list[str]]:
    """What `SHA256SUMS` lists; a line or an order that we would not have written is a fault."""
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
