"""From the slots on the server to the chain: valid entries, lost entries, faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from registry.ledger.entry import LedgerEntry, genesis


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of the log.

    number: assigned by the server, 1, 2, 3 ... text: the stored entry; words: its description in MLflow.
    taken_ms: when the server received it, by the server's clock, ms since 1970; 0 if unknown.
    """

    number: int
    text: str
    words: str = ""
    taken_ms: int = 0


@dataclass(frozen=True, slots=True)
class Chain:
    """entries: the valid entries, in order. places: the slot of each. lost: slots that lost to a concurrent
    entry. faults: messages. last_ms: when the server received the last slot.

    unanswered: the faults that no later override has acknowledged.
    """

    model: str
    entries: tuple[LedgerEntry, ...]
    places: tuple[Slot, ...]
    lost: tuple[Slot, ...]
    faults: tuple[str, ...]
    unanswered: tuple[str, ...]
    last_ms: int

    @property
    def head(self) -> str:
        """The digest that the next entry must reference."""
        return self.entries[-1].digest if self.entries else genesis(self.model)

    @property
    def next_sequence(self) -> int:
        return len(self.entries) + 1

    def has(self, uid: str) -> bool:
        return any(entry.uid == uid for entry in self.entries)

    def dated(self, counts: Callable[[LedgerEntry], bool]) -> tuple[LedgerEntry, ...]:
        """The entries that count, each with the time of the server instead of its author's clock.

        For queries by date; their digests are not those of the chain.
        """
        pairs = zip(self.entries, self.places, strict=True)
        return tuple(_at(entry, slot.taken_ms) for entry, slot in pairs if counts(entry))


def follow(model: str, slots: Sequence[Slot]) -> Chain:
    """Walk the slots in the server's order and accept each that references the last accepted entry.

    A slot that references an older entry was written for an outdated state: it lost and is ignored. A slot
    that references an unknown entry, or is not an entry of this model, is a fault: an earlier entry was
    changed or removed. A missing number is a fault, too, as the server assigns each number once and in order.
    """
    entries: list[LedgerEntry] = []
    places: list[Slot] = []
    lost: list[Slot] = []
    faults: list[tuple[int, str]] = list(_missing([slot.number for slot in slots]))
    answered = 0
    known, head = {genesis(model)}, genesis(model)
    for slot in sorted(slots, key=lambda s: s.number):
        try:
            entry = LedgerEntry.from_json(slot.text)
        except ValueError:
            faults.append((slot.number, f"ledger slot {slot.number} of {model} has no readable entry"))
            continue
        if entry.model != model:
            says = f"ledger slot {slot.number} of {model} has an entry of {entry.model}"
            faults.append((slot.number, says))
        elif entry.previous == head and entry.sequence == len(entries) + 1:
            entries.append(entry)
            places.append(slot)
            head = entry.digest
            known.add(head)
            answered = slot.number if entry.override_reason else answered
        elif entry.previous in known and entry.previous != head:
            lost.append(slot)
        else:
            says = (
                f"ledger slot {slot.number} of {model} (entry {entry.sequence}, {entry.in_words()}) does not "
                f"follow the entry before it: an earlier entry was changed or removed"
            )
            faults.append((slot.number, says))
    unanswered = tuple(says for number, says in faults if number > answered)
    return Chain(
        model,
        tuple(entries),
        tuple(places),
        tuple(lost),
        tuple(says for _, says in faults),
        unanswered,
        max((slot.taken_ms for slot in slots), default=0),
    )


def _at(entry: LedgerEntry, taken_ms: int) -> LedgerEntry:
    taken = datetime.fromtimestamp(taken_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return replace(entry, time=taken) if taken_ms else entry


def _missing(numbers: Iterable[int]) -> Iterable[tuple[int, str]]:
    present = set(numbers)
    for number in range(1, max(present, default=0)):
        if number not in present:
            yield number, f"ledger slot {number} was deleted"
