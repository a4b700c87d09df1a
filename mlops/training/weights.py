"""The source of a network's initial weights: none, a file, or the library's store.

A recipe's `weights` is `none`, a path, or a name in the library. A name is searched on this machine first.
The library fetches it only after its server answered, so that a machine without a network reports an error
within ten seconds instead of retrying for minutes. A file's content is part of a training's identity
(`file_digest`), and no file is loaded before `refuse_unsafe` has checked it.
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from mlops.errors import MissingWeights, UnsafeWeights
from mlops.files.digests import sha256_of

NONE = "none"
PROBE_S = 8.0
_WAY_OUT = "pass a file with `--set weights=PATH`, or train from scratch with `--set weights=none`"


def find_weights(setting: str, stores: Sequence[Path] = ()) -> Path | None:
    """The file for `setting`, which is a path or a file name in one of `stores`.

    None if it is `none` (see `wants_none`), or a library's name that is not on this machine.
    Raises MissingWeights if it is a path and the file does not exist.
    """
    if wants_none(setting):
        return None
    given = Path(setting).expanduser()
    if given.is_file():
        return given.resolve()
    if given.is_absolute() or len(given.parts) > 1:
        raise MissingWeights(f"weights={setting}: the file does not exist; {_WAY_OUT}")
    return next((store / given for store in stores if (store / given).is_file()), None)


def wants_none(setting: str) -> bool:
    return setting.strip().lower() == NONE


def file_digest(setting: str) -> str:
    """SHA-256 (hex) of the file if `setting` is a path; "" for `none` and for a library's name."""
    given = Path(setting).expanduser()
    return sha256_of(given) if not wants_none(setting) and given.is_file() else ""


def refuse_unsafe(file: Path, names: Sequence[str]) -> None:
    """Raise UnsafeWeights if a pickle in `file` could call any of `names` (see `training.pickles`)."""
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise UnsafeWeights(
            f"weights={file}: not a plain checkpoint, as it could run code when loaded ({names[0]}{more}); "
            f"it was not loaded; {_WAY_OUT}"
        )


def require_server(name: str, url: str, within_s: float = PROBE_S) -> None:
    """Return if the server of `url` answers, with any status.

    Uses the proxies of the environment. The request runs in a thread, as resolving a host name may block
    longer than any timeout. Raises MissingWeights after `within_s` at the latest.
    """
    answers: list[bool] = []
    probe = threading.Thread(target=lambda: answers.append(_answers(url, within_s)), daemon=True)
    probe.start()
    probe.join(within_s)
    if not any(answers):
        raise unavailable(name, f"{urlsplit(url).netloc} does not answer")


def unavailable(name: str, why: str) -> MissingWeights:
    """The error for weights `name` that are not on this machine and cannot be fetched."""
    return MissingWeights(f"weights={name} are not on this machine and {why}; {_WAY_OUT}")


def _answers(url: str, timeout_s: float) -> bool:
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout_s).close()
    except urllib.error.HTTPError:
        return True  # an error status is an answer
    except (OSError, ValueError):
        return False
    return True
