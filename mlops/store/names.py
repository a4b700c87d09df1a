"""Names and values in a form that MLflow accepts.

MLflow allows letters, digits, `_ - . : /` and spaces in the names of metrics and params, at most 250
characters, and only normalised paths. The limits are those of `mlflow.utils.validation`.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_NAME = 250
MAX_PARAM_VALUE = 6000
MAX_TAG_VALUE = 8000
MAX_DATASET_DIGEST = 36

RUN_KEY_TAG = "mlops.key"
RUN_UID_TAG = "mlops.run_uid"
ENTRY_UID_TAG = "mlops.entry_uid"

_BAD = re.compile(r"[^/\w.\- :]")


def entity_name(name: str) -> str:
    """`name` with `_` for each character that MLflow rejects; a valid name is unchanged.

    >>> entity_name("val/AP50/dog (big)")
    'val/AP50/dog _big_'
    """
    clean = _BAD.sub("_", name)
    if clean != posixpath.normpath(clean) or clean.startswith(("/", "..")) or clean == ".":
        clean = posixpath.normpath(clean).strip("/").replace("..", "__") if clean else ""
        clean = "unnamed" if clean in ("", ".") else clean
    return clean if len(clean) <= MAX_NAME else clean[: MAX_NAME - 9] + "-" + _short_hash(name)


def entity_names(names: Iterable[str]) -> dict[str, str]:
    """Each name -> its name in MLflow; colliding names get a suffix of four characters.

    >>> entity_names(["a(b", "a)b", "loss"])
    {'a(b': 'a_b-38d5', 'a)b': 'a_b-23b9', 'loss': 'loss'}
    """
    given = list(dict.fromkeys(names))
    clean = {name: entity_name(name) for name in given}
    taken: dict[str, int] = {}
    for value in clean.values():
        taken[value] = taken.get(value, 0) + 1
    return {
        name: value
        if taken[value] == 1 or value == name
        else f"{value[: MAX_NAME - 5]}-{_short_hash(name)[:4]}"
        for name, value in clean.items()
    }


def param_text(value: object) -> str:
    """A param's value as text that keeps its type: strings unchanged, all else as JSON.

    >>> [param_text(v) for v in ("SGD", 0.0001, True, None, (1, 2))]
    ['SGD', '0.0001', 'true', 'null', '[1, 2]']
    """
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return cut(text, MAX_PARAM_VALUE)


def cut(text: str, limit: int) -> str:
    """`text` truncated to `limit` characters, with an ellipsis.

    Replaces NUL, which PostgreSQL cannot store, and lone surrogates (for example in a file name), which no
    database can.
    """
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def tag_texts(tags: Mapping[str, object]) -> dict[str, str]:
    return {entity_name(key): cut(str(value), MAX_TAG_VALUE) for key, value in tags.items()}


def _short_hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def folder_name(name: str) -> str:
    """A folder name for `name`; a changed name gets a hash, so it is unique.

    >>> folder_name("oct-detector"), folder_name("a/b")
    ('oct-detector', 'a_b-c14cddc0')
    """
    clean = re.sub(r"[^\w.\-]", "_", name)[:80].lstrip(".") or "_"
    return clean if clean == name else f"{clean}-{_short_hash(name)}"
