"""Change stages: write the ledger entry first, then update MLflow to match it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from mlops.errors import BadSetting, GateRefused, LedgerBroken, MoveLost, NotAllowed, UserError
from mlops.store.client import asking
from mlops.store.identity import me
from registry.evidence.version_files import ONNX_DIGEST_TAG, file_digests
from registry.ledger.entry import Action, LedgerEntry, Stage
from registry.ledger.log import append
from registry.ledger.registration_check import differences
from registry.ledger.signing import counting, signature_for
from registry.ledger.state import changed_files, last_good, periods, verdicts
from registry.stages.in_progress import lower_hand, now, raise_hand
from registry.stages.model_state import ModelState, begin
from registry.stages.reconcile import agree

if TYPE_CHECKING:
    from registry.policies.policy import Policy
    from registry.stages.judgement import Judgement

_JUDGED_AGAIN = 5
_LONGEST = 1500  # characters of each text; PostgreSQL limits a description in MLflow to 5,000


@dataclass(frozen=True, slots=True)
class Draft:
    """The part of an entry that the caller decides."""

    action: Action
    version: str
    to_stage: Stage
    why: str = ""
    evidence_digest: str = ""
    file_digests: Mapping[str, str] = field(default_factory=dict)
    override_reason: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    """The result of a command: its entry, and the replaced version. judged: the gate results.

    found: messages about differences from the ledger that were found first.
    """

    entry: LedgerEntry | None
    replaced: str | None
    found: tuple[str, ...]
    judged: Judgement | None = None


def record(scene: ModelState, draft: Draft) -> LedgerEntry:
    """Write `draft` as the next entry of the state `scene`, and update MLflow to match.

    A version that is registered meanwhile does not matter: the entry is then written after that one.
    Raises MoveLost if a concurrent entry was first, ServerUnavailable if the server stops answering; the next
    command then checks whether the entry was written, and finishes the change.
    """
    for _ in range(_JUDGED_AGAIN):
        try:
            return _recorded(scene, draft)
        except MoveLost:
            fresh = begin(scene.client, scene.model, scene.policy, over_faults=bool(draft.override_reason))
            known = len(scene.chain.entries)
            if any(entry.action is not Action.REGISTER for entry in fresh.chain.entries[known:]):
                raise
            scene = fresh
    return _recorded(scene, draft)


def _recorded(scene: ModelState, draft: Draft) -> LedgerEntry:
    client, model = scene.client, scene.model
    unsigned = LedgerEntry(
        sequence=scene.chain.next_sequence,
        time=now(),
        who=_kept_whole(me()),
        action=draft.action,
        model=model,
        version=draft.version,
        from_stage=scene.state.stage_of(draft.version),
        to_stage=draft.to_stage,
        why=_kept_whole(draft.why),
        previous=scene.chain.head,
        uid=uuid4().hex,
        evidence_digest=draft.evidence_digest,
        file_digests=draft.file_digests,
        override_reason=_kept_whole(draft.override_reason),
        over=scene.lost_head,
        policy=_own_policy(scene.policy) if draft.action in (Action.PROMOTE, Action.ROLLBACK) else "",
    )
    entry = dataclasses.replace(unsigned, signature=signature_for(unsigned, scene.policy.signing_keys))
    hand = raise_hand(client, model, entry.in_words())
    try:
        chain = append(client, entry)
    except (MoveLost, LedgerBroken, NotAllowed):
        lower_hand(client, model, hand)
        raise
    agree(client, model, chain, counting(scene.policy.signing_keys))
    lower_hand(client, model, hand)
    return entry


def _own_policy(policy: Policy) -> str:
    """SHA-256 of a policy that is not the model's built-in one; "" for the built-in one."""
    from registry.policies.policy import list_policies, load_policy

    own = policy.digest
    return "" if policy.model not in list_policies() or own == load_policy(policy.model).digest else own


def _kept_whole(text: str) -> str:
    """`text` in a form that every store accepts. Raises UserError if it is too long for MLflow."""
    text = text.encode("utf-8", "backslashreplace").decode()  # lone surrogates from the terminal
    if len(text) > _LONGEST:
        raise UserError(
            f"the text has {len(text)} characters, the ledger stores at most {_LONGEST}; shorten it and "
            "reference the full text"
        )
    return text


def promote(
    scene: ModelState,
    version: str,
    to: Stage,
    *,
    why: str = "",
    override_reason: str = "",
    dry_run: bool = False,
) -> Moved:
    """Promote `version` to `to` if its gates pass. If refused, `entry` of the result is None.

    override_reason: promote even if gates refuse; recorded in the ledger. dry_run: only judge.
    """
    from registry.stages.judgement import judge_version

    _may_go(scene, scene.version(version), to)
    judged = judge_version(scene, version, to)
    if not override_reason:
        _unchanged(scene, version, judged)
    if dry_run:
        return Moved(None, None, scene.found, judged)
    return _decided(scene, Draft(Action.PROMOTE, version, to, why, override_reason=override_reason), judged)


def rollback(scene: ModelState, *, to: str = "", why: str = "", override_reason: str = "") -> Moved:
    """Restore the last good version (or version `to`) to Production, after judging its gates again.

    Raises UserError if there is none. If refused, `entry` of the result is None.
    """
    from registry.stages.judgement import judge_version

    counts = counting(scene.policy.signing_keys)
    entries = scene.chain.entries
    version = scene.version(to) if to else last_good(entries, counts, scene.shelf.versions)
    if version is None:
        raise UserError(f"{scene.model} has no earlier good version of Production to roll back to")
    _may_go(scene, version, Stage.PRODUCTION)
    if version not in {period.version for period in periods(entries, Stage.PRODUCTION, counts)}:
        raise UserError(f"{scene.model} version {version} was never in Production; use `promote` instead")
    judged = judge_version(scene, version, Stage.PRODUCTION, beside_champion=False)
    if not override_reason:
        _unchanged(scene, version, judged)
    draft = Draft(Action.ROLLBACK, version, Stage.PRODUCTION, why, override_reason=override_reason)
    return _decided(scene, draft, judged)


def archive(scene: ModelState, version: str, *, why: str = "") -> Moved:
    """Remove `version` from its stage."""
    _may_go(scene, scene.version(version), Stage.ARCHIVED)
    return Moved(record(scene, Draft(Action.ARCHIVE, version, Stage.ARCHIVED, why)), None, scene.found)


def give_verdict(
    scene: ModelState, version: str, action: Action, stage: Stage, comment: str, evidence_digest: str = ""
) -> Moved:
    """Approve or reject `version` for `stage`. Does not depend on other entries, so it retries if it loses.

    An approval is for the version's current files, and the entry records their digests.
    evidence_digest: SHA-256 of the stored evidence (see `registry.stages.reviews`); "" without evidence.

    Raises UserError if the person's verdict is already the same, GateRefused for an approval of files that
    were changed since they were recorded, UnknownVersion if the files are missing.
    """
    approves = action is Action.APPROVE
    files = file_digests(scene.client, scene.model, scene.version(version)) if approves else {}
    made = _made_by_training(scene, version) if approves else ""
    for _ in range(_JUDGED_AGAIN):
        said = verdicts(
            scene.chain.entries, scene.version(version), stage, counting(scene.policy.signing_keys)
        )
        mine = said.get(me())
        if mine is not None and mine.action is action:
            raise UserError(
                f"{scene.model} version {version}: this verdict is already recorded ({mine.in_words()})"
            )
        changed = approves and (
            _otherwise(scene, version, files, made)
            or differences(scene.client, scene.model, version, scene.chain.entries, files)
        )
        if changed:
            raise GateRefused(f"{scene.model} version {version} is not approved: {changed}")
        try:
            entry = record(scene, Draft(action, version, stage, comment, evidence_digest, files))
        except MoveLost:
            scene = begin(scene.client, scene.model, scene.policy)
            continue
        return Moved(entry, None, scene.found)
    raise MoveLost(f"concurrent changes to {scene.model}; retry")


def _unchanged(scene: ModelState, version: str, judged: Judgement) -> None:
    """Raises GateRefused for files that differ from those written by training or recorded in the ledger."""
    if judged.files is None:
        changed = "its files are missing"
    else:
        changed = _otherwise(scene, version, judged.files, judged.evidence.onnx_digest)
    entries = scene.chain.entries
    changed = changed or differences(scene.client, scene.model, version, entries, judged.files)
    if changed:
        raise GateRefused(f"{scene.model} version {version} may not enter {judged.stage}: {changed}")
    for compared in {each.champion for each in judged.evidence.comparisons}:
        if changed := differences(scene.client, scene.model, compared, entries):
            raise GateRefused(
                f"{scene.model} version {version} may not enter {judged.stage}: it is compared with version "
                f"{compared}, which {changed}"
            )


def _otherwise(scene: ModelState, version: str, files: Mapping[str, str], made: str) -> str:
    """How `files` differ from those last recorded in the ledger or written by training; "" if they do not.

    made: SHA-256 of the ONNX file written by training; "" if unknown.
    """
    changed = changed_files(scene.chain.entries, version, counting(scene.policy.signing_keys), files)
    if not changed and made and made not in files.values():
        return f"none of its files is the ONNX file written by training (SHA-256 {made[:12]})"
    return changed


def _made_by_training(scene: ModelState, version: str) -> str:
    with asking(f"reading {scene.model}/{version}"):
        tags = scene.client.get_model_version(scene.model, version).tags or {}
    return str(tags.get(ONNX_DIGEST_TAG, ""))


def _decided(scene: ModelState, draft: Draft, judged: Judgement) -> Moved:
    """Store the judgement; record the change if it passed or is overridden."""
    from registry.stages.judgement import keep

    keep(scene.client, judged)
    if not judged.passed and not draft.override_reason:
        return Moved(None, None, scene.found, judged)
    replaced = scene.state.holder(draft.to_stage)
    full = dataclasses.replace(draft, evidence_digest=judged.evidence_digest, file_digests=judged.files or {})
    return Moved(record(scene, full), replaced, scene.found, judged)


def _may_go(scene: ModelState, version: str, to: Stage) -> None:
    """Raises BadSetting if the policy has no transition for `version` to `to`, UserError if it is there."""
    source = scene.state.stage_of(version)
    if source is to:
        raise UserError(f"{scene.model} version {version} is already in {to}")
    if not scene.policy.may_go(source, to):
        allowed = ", ".join(scene.policy.transitions.get(source, ())) or "none"
        raise BadSetting(f"policy of {scene.model}", f"the transition from {source}", to.value, allowed)
