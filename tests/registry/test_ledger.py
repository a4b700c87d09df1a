"""The chain of entries: which count, which lost, and what an alteration looks like."""

from __future__ import annotations

import dataclasses
import itertools
import json
from datetime import UTC, datetime, timedelta

import pytest

from mlops.errors import BadSetting
from registry.ledger.chain import Chain, Slot, follow
from registry.ledger.entry import Action, LedgerEntry, Stage, genesis
from registry.ledger.signing import counting, public_key_of, signature_for
from registry.ledger.state import last_good, periods, state_after, state_at, verdicts

MODEL = "cells"
_clock = itertools.count()


def after(chain: Chain, version: str, to: Stage, action: Action = Action.PROMOTE, **more: str) -> LedgerEntry:
    return LedgerEntry(
        sequence=chain.next_sequence,
        time=f"2026-01-{next(_clock) % 28 + 1:02d}T12:00:00.000+00:00",
        who=more.get("who", "ann"),
        action=action,
        model=MODEL,
        version=version,
        from_stage=state_after(chain.entries).stage_of(version),
        to_stage=to,
        why=more.get("why", ""),
        previous=chain.head,
        uid=f"{version}-{to}-{next(_clock)}",
    )


def slots(*entries: LedgerEntry) -> list[Slot]:
    return [Slot(number, entry.as_json()) for number, entry in enumerate(entries, 1)]


def chain_of(*moves: tuple[str, Stage] | tuple[str, Stage, Action]) -> Chain:
    entries: list[LedgerEntry] = []
    for move in moves:
        entries.append(after(follow(MODEL, slots(*entries)), *move))
    return follow(MODEL, slots(*entries))


P, S, A = Stage.PRODUCTION, Stage.STAGING, Stage.ARCHIVED


def test_an_entry_is_read_back_as_it_was_written() -> None:
    entry = dataclasses.replace(
        after(follow(MODEL, []), "1", S, why="größer, \N{SNOWMAN}\n2nd"),
        file_digests={"b": "2", "a": "1"},
    )
    assert LedgerEntry.from_json(entry.as_json()) == entry
    assert LedgerEntry.from_json(entry.as_json()).digest == entry.digest


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"sequence":1}', "not json"])
def test_what_is_no_entry_is_not_read_as_one(text: str) -> None:
    with pytest.raises(ValueError):
        LedgerEntry.from_json(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time", "yesterday"),
        ("time", "2026-01-01T00:00:00"),
        ("time", 5),
        ("version", "latest"),
        ("sequence", "1"),
        ("why", None),
        ("file_digests", {"a": 1}),
        ("action", "delete"),
        ("extra", "x"),
    ],
)
def test_a_forged_entry_cannot_break_those_who_read_it(field: str, value: object) -> None:
    content = {**json.loads(after(follow(MODEL, []), "1", S).as_json()), field: value}
    forged = json.dumps(content, sort_keys=True, separators=(",", ":"))
    chain = follow(MODEL, [Slot(1, forged)])
    assert chain.entries == ()
    assert "no readable entry" in chain.faults[0]


def test_of_two_decided_on_the_same_state_the_first_counts_for_every_reader() -> None:
    start = chain_of(("1", S))
    one, two = after(start, "2", S), after(start, "3", S)
    for first, second in ((one, two), (two, one)):
        chain = follow(MODEL, slots(*start.entries, first, second))
        assert chain.entries == (*start.entries, first)
        assert [slot.number for slot in chain.lost] == [3]
        assert not chain.faults


def test_what_counts_never_changes_as_slots_are_added() -> None:
    start = chain_of(("1", S), ("1", P))
    written = slots(*start.entries, after(start, "2", S), after(start, "3", S), after(start, "3", A))
    for number in range(len(written)):
        assert follow(MODEL, written).entries[:number] == follow(MODEL, written[:number]).entries[:number]


def test_an_entry_that_was_sent_twice_counts_once() -> None:
    start = chain_of(("1", S))
    again = after(start, "1", P)
    chain = follow(MODEL, slots(*start.entries, again, again))
    assert chain.entries == (*start.entries, again)
    assert not chain.faults


def test_each_alteration_is_a_fault() -> None:
    chain = chain_of(("1", S), ("1", P), ("2", S))
    whole = slots(*chain.entries)
    changed = [whole[0], Slot(2, whole[1].text.replace('"ann"', '"eve"')), whole[2]]
    assert "does not follow" in follow(MODEL, changed).faults[0]
    assert follow(MODEL, [whole[0], whole[2]]).faults[0] == "ledger slot 2 was deleted"
    unreadable = follow(MODEL, [whole[0], Slot(2, "{}"), whole[2]])
    assert any("no readable entry" in fault for fault in unreadable.faults)
    foreign = Slot(4, dataclasses.replace(after(chain, "2", P), model="other").as_json())
    assert "has an entry of other" in follow(MODEL, [*whole, foreign]).faults[0]


def test_an_override_answers_a_fault_which_stays_named() -> None:
    chain = chain_of(("1", S), ("1", P))
    whole = slots(*chain.entries)
    broken = follow(MODEL, [whole[0], Slot(2, "{}")])
    assert broken.unanswered == broken.faults != ()
    over = dataclasses.replace(after(broken, "1", P), override_reason="the entry was lost")
    going_on = follow(MODEL, [whole[0], Slot(2, "{}"), Slot(3, over.as_json())])
    assert going_on.entries == (whole_entry(whole[0]), over)
    assert going_on.unanswered == ()
    assert going_on.faults == broken.faults


def whole_entry(slot: Slot) -> LedgerEntry:
    return LedgerEntry.from_json(slot.text)


def test_entering_a_stage_archives_who_was_there() -> None:
    state = state_after(chain_of(("1", S), ("1", P), ("2", S), ("2", P)).entries)
    assert state.stages == {"1": A, "2": P}
    assert state.holder(S) is None


def test_what_was_in_production_when() -> None:
    entries = [
        dataclasses.replace(entry, time=f"2026-0{month}-01T00:00:00+00:00")
        for month, entry in enumerate(chain_of(("1", P), ("2", P), ("2", A, Action.ARCHIVE)).entries, 1)
    ]
    held = {m: state_at(entries, datetime(2026, m, 15, tzinfo=UTC)).holder(P) for m in (1, 2, 3)}
    assert held == {1: "1", 2: "2", 3: None}
    assert [(p.version, p.since[:7], p.until[:7]) for p in periods(entries, P)] == [
        ("1", "2026-01", "2026-02"),
        ("2", "2026-02", "2026-03"),
    ]


@pytest.mark.parametrize(
    ("moves", "good"),
    [
        ([("1", P)], None),
        ([("1", P), ("2", P)], "1"),
        ([("1", P), ("2", P), ("1", P, Action.ROLLBACK)], None),
        ([("1", P), ("2", P), ("3", P), ("2", P, Action.ROLLBACK)], "1"),
        ([("1", P), ("2", P), ("2", A, Action.ARCHIVE)], "1"),
        ([("1", P), ("2", P), ("1", P, Action.REJECT)], None),
        ([("1", P), ("2", P), ("1", P, Action.REJECT), ("1", P, Action.APPROVE)], "1"),
        ([("1", P), ("2", P), ("1", P, Action.ROLLBACK), ("2", P)], "1"),
    ],
)
def test_a_rollback_finds_the_last_version_that_nobody_took_out_as_bad(moves: list, good: str | None) -> None:  # type: ignore[type-arg]
    assert last_good(chain_of(*moves).entries) == good


def test_a_person_s_last_word_on_a_version_stands() -> None:
    first = after(follow(MODEL, []), "1", P, Action.APPROVE)
    second = after(follow(MODEL, slots(first)), "1", P, Action.REJECT)
    chain = follow(MODEL, slots(first, second))
    assert verdicts(chain.entries, "1", P) == {"ann": second}
    assert verdicts(chain.entries, "1", S) == {}


def test_only_entries_signed_by_a_listed_key_count(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    listed = (public_key_of(key),)
    for name, each in (("key", key), ("other", other)):
        pem = each.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / name).write_bytes(pem)
    unsigned = after(follow(MODEL, []), "1", P)
    with pytest.raises(BadSetting, match="MLOPS_SIGNING_KEY"):
        signature_for(unsigned, listed)
    monkeypatch.setenv("MLOPS_SIGNING_KEY", str(tmp_path / "other"))
    with pytest.raises(BadSetting, match="a key in its signing_keys"):
        signature_for(unsigned, listed)
    monkeypatch.setenv("MLOPS_SIGNING_KEY", str(tmp_path / "key"))
    signed = dataclasses.replace(unsigned, signature=signature_for(unsigned, listed))
    altered = dataclasses.replace(signed, version="2")
    assert [counting(listed)(entry) for entry in (unsigned, signed, altered)] == [False, True, False]
    assert counting(())(unsigned)
    assert state_after([unsigned], counting(listed)).holder(P) is None


def test_a_key_with_a_name_signs_for_nobody_else(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key").write_bytes(pem)
    monkeypatch.setenv("MLOPS_SIGNING_KEY", str(tmp_path / "key"))
    by_ann, by_bea = (after(follow(MODEL, []), "1", P, Action.APPROVE, who=who) for who in ("ann", "bea"))
    of_ann, of_anyone = (f"ann {public_key_of(key)}",), (public_key_of(key),)
    with pytest.raises(BadSetting, match="a key in its signing_keys for bea"):
        signature_for(by_bea, of_ann)
    both = [dataclasses.replace(e, signature=signature_for(e, of_anyone)) for e in (by_ann, by_bea)]
    assert [counting(of_ann)(entry) for entry in both] == [True, False]
    assert [counting(of_anyone)(entry) for entry in both] == [True, True]


def test_what_was_when_is_told_by_the_server_s_clock() -> None:
    """Ann's clock is a day ahead, and bea's is of 1970."""
    chain = chain_of(("1", P), ("2", P), ("2", A, Action.ARCHIVE))
    claimed = ("2026-05-01T12:00:00+00:00", "2026-05-02T12:05:00+00:00", "1970-01-01T00:00:00+00:00")
    really = [datetime(2026, 5, 1, 12, minute, tzinfo=UTC) for minute in (0, 5, 10)]
    places, entries = [], chain.entries
    for number, (entry, time, at) in enumerate(zip(entries, claimed, really, strict=True), 1):
        previous = LedgerEntry.from_json(places[-1].text).digest if places else genesis(MODEL)
        text = dataclasses.replace(entry, time=time, previous=previous).as_json()
        places.append(Slot(number, text, taken_ms=int(at.timestamp() * 1000)))
    dated = follow(MODEL, places).dated(counting(()))
    held = [state_at(dated, at + timedelta(minutes=1)).holder(P) for at in really]
    assert held == ["1", "2", None]


def test_what_was_taken_out_as_bad_is_approved_anew() -> None:
    approved = ("2", P, Action.APPROVE)
    bad = chain_of(("1", P), approved, ("2", P), ("1", P, Action.ROLLBACK)).entries
    assert verdicts(bad, "2", P) == {}
    archived = chain_of(approved, ("2", P), ("2", A, Action.ARCHIVE)).entries
    assert verdicts(archived, "2", P) == {}
    replaced = chain_of(approved, ("2", P), ("3", P)).entries
    assert list(verdicts(replaced, "2", P)) == ["ann"]


def test_an_entry_is_one_line_whatever_was_said() -> None:
    why = "fine\n   9  eve promoted version 3\x1b[2K\u202e"
    said = after(follow(MODEL, []), "1", P, why=why).in_words()
    assert said.isprintable()
    assert said.endswith("fine 9 eve promoted version 3 [2K")


def test_the_first_entry_belongs_to_its_model() -> None:
    assert genesis("cells") != genesis("rails")
