"""One entry of the ledger: who changed or judged which version, when, why, and on what evidence."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Stage(StrEnum):
    NONE = "None"
    STAGING = "Staging"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"


class Action(StrEnum):
    PROMOTE = "promote"
    APPROVE = "approve"
    REJECT = "reject"
    ROLLBACK = "rollback"
    ARCHIVE = "archive"
    REGISTER = "register"


MOVES = frozenset({Action.PROMOTE, Action.ROLLBACK, Action.ARCHIVE})
_RARE = ("over", "policy", "run_file_digests", "origin")
_MAPPINGS = ("file_digests", "run_file_digests", "origin")
ALONE = (
    Stage.STAGING,
    Stage.PRODUCTION,
)  # one version of a model at a time; a new one replaces the current one


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One entry of the chain.

    sequence: 1 for a model's first. time: ISO 8601 in UTC, by the author's clock. uid: chosen by the author,
    to find an entry again if the server's response was lost. evidence_digest: SHA-256; "" without gates.
    file_digests: path inside the model -> SHA-256 at the time of the decision. signature: ed25519 over
    `content_digest`, base64; "" if unsigned. previous: `digest` of the previous entry.

    over: a missing last entry, as "sequence:digest", that an override has passed over; it stays recorded.
    policy: SHA-256 of the policy if it is not the built-in one of the model.
    run_file_digests, origin: of an entry REGISTER, see `registry.ledger.registration`.
    These four are usually empty and then not written.
    """

    sequence: int
    time: str
    who: str
    action: Action
    model: str
    version: str
    from_stage: Stage
    to_stage: Stage
    why: str
    previous: str
    uid: str
    evidence_digest: str = ""
    file_digests: Mapping[str, str] = field(default_factory=dict)
    override_reason: str = ""
    signature: str = ""
    over: str = ""
    policy: str = ""
    run_file_digests: Mapping[str, str] = field(default_factory=dict)
    origin: Mapping[str, str] = field(default_factory=dict)

    @property
    def content_digest(self) -> str:
        """SHA-256 over everything except the signature; this is what is signed."""
        return _sha256(dataclasses.replace(self, signature="").as_json())

    @property
    def digest(self) -> str:
        """SHA-256 over everything including the signature; the next entry references it."""
        return _sha256(self.as_json())

    def as_json(self) -> str:
        """The canonical form of this entry: sorted keys, no spaces."""
        content = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        content |= {name: dict(content[name]) for name in _MAPPINGS}
        for rare in _RARE:
            if not content[rare]:
                del content[rare]
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> LedgerEntry:
        """Raises ValueError for anything that is not a valid entry in canonical form."""
        content: dict[str, Any] = json.loads(text)
        if not isinstance(content, dict) or not _well_typed(content):
            raise ValueError("not an entry")
        try:
            entry = cls(
                **{
                    **content,
                    "action": Action(content["action"]),
                    "from_stage": Stage(content["from_stage"]),
                    "to_stage": Stage(content["to_stage"]),
                }
            )
        except (KeyError, TypeError) as error:
            raise ValueError(str(error)) from error
        if entry.as_json() != text:
            raise ValueError("not in canonical form")
        return entry

    def in_words(self) -> str:
        """One sentence. It is stored as the description in MLflow and verified, so its wording is fixed.

        >>> LedgerEntry(1, "2026-01-02T03:04:05+00:00", "ann", Action.PROMOTE, "m", "3", Stage.NONE,
        ...             Stage.STAGING, "better recall", genesis("m"), "u").in_words()
        'ann promoted version 3 from None to Staging on 2026-01-02 03:04:05 UTC: better recall'
        """
        when = self.time[:19].replace("T", " ") + " UTC"
        said = {
            Action.PROMOTE: f"promoted version {self.version} from {self.from_stage} to {self.to_stage}",
            Action.ROLLBACK: f"rolled back to version {self.version}, from {self.from_stage}",
            Action.ARCHIVE: f"archived version {self.version}, from {self.from_stage}",
            Action.APPROVE: f"approved version {self.version} for {self.to_stage}",
            Action.REJECT: f"rejected version {self.version} for {self.to_stage}",
            Action.REGISTER: f"registered version {self.version}{self._late}",
        }[self.action]
        override = f" (gates overridden: {self.override_reason})" if self.override_reason else ""
        policy = f" (by a policy that is not the product's: {self.policy[:12]})" if self.policy else ""
        why = f": {self.why}" if self.why else ""
        return _one_line(f"{self.who} {said} on {when}{why}{override}{policy}")

    @property
    def _late(self) -> str:
        late = self.origin.get("late") == "true"
        return " late, with its files as found" if late else ""

    @property
    def heading(self) -> str:
        """The description of the entry in MLflow."""
        return f"Entry {self.sequence}: {self.in_words()}"


def _one_line(text: str) -> str:
    """Without line breaks and control characters, so that no text can imitate other entries."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _well_typed(content: dict[str, Any]) -> bool:
    """Whether every value has the expected type, as anyone may have written it."""
    mappings = [content.get(name, {}) for name in _MAPPINGS]
    if type(content.get("sequence")) is not int or "file_digests" not in content:
        return False
    if not all(isinstance(held, dict) for held in mappings):
        return False
    texts = [value for key, value in content.items() if key not in ("sequence", *_MAPPINGS)]
    if not all(
        isinstance(value, str) for value in (*texts, *(v for held in mappings for v in held.values()))
    ):
        return False
    try:
        return datetime.fromisoformat(content["time"]).tzinfo is not None and int(content["version"]) > 0
    except (KeyError, ValueError):
        return False


def genesis(model: str) -> str:
    """The `previous` of a model's first entry."""
    return _sha256(f"ledger of {model}")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
