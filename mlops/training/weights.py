"""Where a network's first weights come from: nowhere, a file, or its library's own store.

A recipe's `weights` is `none`, a path, or a library's name. A name is looked for on this machine first;
only then is the library asked to fetch it, and only after its server answered, so that a machine without a
network says so within ten seconds instead of retrying for minutes. A file's content is part of what a
training is (`file_digest`), and no file is loaded before `refuse_unsafe` has read it.
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
_WAY_OUT = "give a file with `--set weights=PATH`, or start from scratch with `--set weights=none`"


def find_weights(setting: str, stores: Sequence[Path] = ()) -> Path | None:
    """The file that `setting` names, as a path or as a file's name in one of `stores`.

    None where it is `none` (see `wants_none`) or a library's name that is not on this machine.
    Raises MissingWeights when it is written as a path and nothing lies there.
    """
    if wants_none(setting):
        return None
    given = Path(setting).expanduser()
    if given.is_file():
        return given.resolve()
    if given.is_absolute() or len(given.parts) > 1:
        raise MissingWeights(f"weights={setting}: there is no such file; {_WAY_OUT}")
    return next((store / given for store in stores if (store / given).is_file()), None)


def wants_none(setting: str) -> bool:
    return setting.strip().lower() == NONE


def file_digest(setting: str) -> str:
    """SHA-256 (hex) of the file that `setting` names as a path; "" for `none` and for a library's name."""
    given = Path(setting).expanduser()
    return sha256_of(given) if not wants_none(setting) and given.is_file() else ""


def refuse_unsafe(file: Path, names: Sequence[str]) -> None:
    """Raise UnsafeWeights where there are `names` that a pickle in `file` could call (`training.pickles`)."""
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise UnsafeWeights(
            f"weights={file} could run code when they are loaded ({names[0]}{more}), so they were not: no "
            f"plain checkpoint; {_WAY_OUT}"
        )


def require_server(name: str, url: str, within_s: float = PROBE_S) -> None:
    """Return when the server of `url` answers at all, whatever it says.

    Asks through the proxies of the environment. The question runs in a thread of its own, as looking up a
    host's name may block for longer than any timeout that can be set on it. Raises MissingWeights after
    `within_s` at the latest.
    """
    answers: list[bool] = []
    probe = threading.Thread(target=lambda: answers.append(_answers(url, within_s)), daemon=True)
    probe.start()
    probe.join(within_s)
    if not any(answers):
        raise unavailable(name, f"{urlsplit(url).netloc} does not answer")


def unavailable(name: str, why: str) -> MissingWeights:
    """The error for weights `name` that are not here and cannot be fetched, with the flags that help."""
    return MissingWeights(f"weights={name} are not on this machine and {why}; {_WAY_OUT}")


def _answers(url: str, timeout_s: float) -> bool:
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout_s).close()
    except urllib.error.HTTPError:
        return True  # a refusal is an answer
    except (OSError, ValueError):
        return False
    return True
