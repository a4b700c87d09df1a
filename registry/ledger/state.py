"""The state of the stages, computed only from the ledger's entries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from registry.ledger.entry import ALONE, MOVES, Action, LedgerEntry, Stage

Counts = Callable[[LedgerEntry], bool]


def every(_: LedgerEntry) -> bool:
    """All entries count: the rule for a policy without signing keys."""
    return True


@dataclass(frozen=True, slots=True)
class LedgerState:
    """stages: version -> stage, for versions with stage changes. last: version -> its last stage change."""

    stages: Mapping[str, Stage] = field(default_factory=dict)
    last: Mapping[str, LedgerEntry] = field(default_factory=dict)

    def stage_of(self, version: str) -> Stage:
        return self.stages.get(version, Stage.NONE)

    def holder(self, stage: Stage) -> str | None:
        """The version in `stage`, which must be a stage for one version."""
        return next((v for v, s in self.stages.items() if s is stage), None)


def state_after(entries: Iterable[LedgerEntry], counts: Counts = every) -> LedgerState:
    """Fold the entries; a version that enters Staging or Production archives the one before it."""
    state = LedgerState()
    for entry in entries:
        state = step(state, entry, counts)
    return state


def step(state: LedgerState, entry: LedgerEntry, counts: Counts = every) -> LedgerState:
    """The state after one more entry."""
    if entry.action not in MOVES or not counts(entry):
        return state
    stages, last = dict(state.stages), dict(state.last)
    replaced = state.holder(entry.to_stage) if entry.to_stage in ALONE else None
    if replaced not in (None, entry.version):
        stages[str(replaced)], last[str(replaced)] = Stage.ARCHIVED, entry
    stages[entry.version], last[entry.version] = entry.to_stage, entry
    return LedgerState(stages, last)


def state_at(entries: Iterable[LedgerEntry], at: datetime, counts: Counts = every) -> LedgerState:
    """The state at `at` (with a time zone)."""
    return state_after((e for e in entries if datetime.fromisoformat(e.time) <= at), counts)


@dataclass(frozen=True, slots=True)
class Period:
    """A version's time in a stage; until: "" while it lasts. began_by, ended_by: sequence of the entries."""

    version: str
    stage: Stage
    since: str
    until: str
    began_by: int
    ended_by: int | None


def periods(entries: Iterable[LedgerEntry], stage: Stage, counts: Counts = every) -> tuple[Period, ...]:
    """The versions in `stage` (a stage for one version) with start and end, oldest first."""
    done: list[Period] = []
    state = LedgerState()
    open_since: LedgerEntry | None = None
    for entry in entries:
        state = step(state, entry, counts)
        holder = state.holder(stage)
        if open_since is not None and holder != open_since.version:
            done.append(
                Period(
                    open_since.version,
                    stage,
                    open_since.time,
                    entry.time,
                    open_since.sequence,
                    entry.sequence,
                )
            )
            open_since = None
        if holder is not None and open_since is None:
            open_since = entry
    if open_since is not None:
        done.append(Period(open_since.version, stage, open_since.time, "", open_since.sequence, None))
    return tuple(done)


def verdicts(
    entries: Iterable[LedgerEntry], version: str, stage: Stage, counts: Counts = every
) -> Mapping[str, LedgerEntry]:
    """Each person's last verdict on `version` for `stage`: who -> the approve or reject entry.

    Approvals end when the version is rolled back or archived from Production.
    """
    said: dict[str, LedgerEntry] = {}
    state = LedgerState()
    for entry in filter(counts, entries):
        if version == _taken_out(state, entry):
            said = {who: each for who, each in said.items() if each.action is Action.REJECT}
        elif entry.action not in MOVES and entry.version == version and entry.to_stage is stage:
            said[entry.who] = entry
        state = step(state, entry)
    return said


def _taken_out(before: LedgerState, entry: LedgerEntry) -> str:
    """The version that `entry` removes from Production as bad; "" if none."""
    if entry.action is Action.ARCHIVE and entry.from_stage is Stage.PRODUCTION:
        return entry.version
    replaced = before.holder(Stage.PRODUCTION) if entry.action is Action.ROLLBACK else None
    return replaced if replaced is not None and replaced != entry.version else ""


def last_good(
    entries: Sequence[LedgerEntry], counts: Counts = every, there: Container[str] | None = None
) -> str | None:
    """The version to roll back to: the last good version in Production before the current one.

    A version is bad if a rollback replaced it, or if it was archived from Production or rejected for it
    afterwards, until it enters Production again. there: the versions that still exist, if known.
    """
    order: list[str] = []
    bad: set[str] = set()
    rejecting: dict[str, set[str]] = defaultdict(set)  # version -> people whose last verdict is a rejection
    state = LedgerState()
    for entry in filter(counts, entries):
        bad.add(_taken_out(state, entry))
        state = step(state, entry)
        if entry.to_stage is not Stage.PRODUCTION:
            continue
        if entry.action is Action.REJECT:
            rejecting[entry.version].add(entry.who)
        elif entry.action is Action.APPROVE:
            rejecting[entry.version].discard(entry.who)
        else:
            bad.discard(entry.version)
            rejecting[entry.version].clear()
            order.append(entry.version)
    present = state.holder(Stage.PRODUCTION)
    bad |= {version for version, people in rejecting.items() if people}
    good = [v for v in order if v != present and v not in bad and (there is None or v in there)]
    return good[-1] if good else None


def changed_files(
    entries: Sequence[LedgerEntry], version: str, counts: Counts, files: Mapping[str, str] | None
) -> str:
    """A message that names the files that differ from those last recorded in the ledger; "" if none."""
    recorded = recorded_files(entries, version, counts)
    if not recorded:
        return ""
    now_there = files or {}
    names = [name for name in sorted({*recorded, *now_there}) if recorded.get(name) != now_there.get(name)]
    return f"files changed since the ledger recorded them: {', '.join(names)}" if names else ""


def recorded_files(entries: Sequence[LedgerEntry], version: str, counts: Counts) -> Mapping[str, str]:
    """path -> SHA-256 of a version's files in the last entry that counts and records them, or else in the one
    that registered it.
    """
    named = (
        entry
        for entry in reversed(entries)
        if entry.version == version
        and entry.file_digests
        and entry.action is not Action.REGISTER
        and counts(entry)
    )
    registered = registration_of(entries, version)
    return next((entry.file_digests for entry in named), registered.file_digests if registered else {})


def registration_of(entries: Iterable[LedgerEntry], version: str) -> LedgerEntry | None:
    """The entry that registered `version`: the first one, signed or not, as a later one proves nothing."""
    return next((e for e in entries if e.action is Action.REGISTER and e.version == version), None)
