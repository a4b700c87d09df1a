"""What a release engineer may and may not do, on a store without a server."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlops.cli.output import show
from mlops.errors import BadSetting, GateRefused, LedgerBroken, UnknownVersion, UserError
from mlops.store.client import connect
from registry.ledger.entry import Action, Stage
from registry.ledger.log import ledger_name, read
from registry.policies.policy import Policy, parse_policy
from registry.stages.in_progress import raise_hand
from registry.stages.judgement import evidence_path, kept
from registry.stages.lifecycle import archive, give_verdict, promote, rollback
from registry.stages.mlflow_state import HEAD_TAG, STAGE_TAG
from registry.stages.model_overview import diff, facts, status
from registry.stages.model_state import ModelState, begin
from registry.stages.verify import verify
from tests.registry.shelves import make_model

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL = "cells"
POLICY = f"""
model: {MODEL}
gates:
  Staging:
    - {{kind: floor, metric: test/macro_f1, minimum: 0.8}}
  Production:
    - {{kind: approvals, at_least: 1}}
"""
MACRO_F1 = {"1": 0.91, "2": 0.93, "3": 0.5}


@pytest.fixture
def client(working_directory: Path) -> MlflowClient:
    """A store with three versions of a model; the third is a bad one."""
    made = connect()
    make_model(made, MODEL, 3, working_directory / "files")
    for version, value in MACRO_F1.items():
        made.log_metric(made.get_model_version(MODEL, version).run_id, "test/macro_f1", value)
    return made


@pytest.fixture
def policy() -> Policy:
    return parse_policy(POLICY, "cells.yaml")


def scene(client: MlflowClient, policy: Policy) -> ModelState:
    return begin(client, MODEL, policy)


def release(client: MlflowClient, policy: Policy, version: str) -> None:
    """All the way to Production, approved by someone else."""
    assert promote(scene(client, policy), version, Stage.STAGING).entry
    give_verdict(scene(client, policy), version, Action.APPROVE, Stage.PRODUCTION, "")
    assert promote(scene(client, policy), version, Stage.PRODUCTION).entry


@contextmanager
def as_user(name: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_USER", name)
        yield


def test_a_refused_version_stays_where_it_is_and_its_evidence_is_kept(
    client: MlflowClient, policy: Policy
) -> None:
    refused = promote(scene(client, policy), "3", Stage.STAGING)
    assert refused.entry is None
    assert refused.judged is not None
    assert [r.gate for r in refused.judged.refusing] == ["test/macro_f1 floor"]
    assert read(MODEL, client) == ()
    assert scene(client, policy).shelf.versions["3"].stage == "None"
    kept = client.list_artifacts(client.get_model_version(MODEL, "3").run_id, "release")
    assert sorted(Path(file.path).suffix for file in kept) == [".json", ".md"]


def test_a_dry_run_changes_nothing(client: MlflowClient, policy: Policy) -> None:
    judged = promote(scene(client, policy), "1", Stage.STAGING, dry_run=True).judged
    assert judged is not None
    assert judged.passed
    assert read(MODEL, client) == ()
    assert client.list_artifacts(client.get_model_version(MODEL, "1").run_id, "release") == []


def test_an_override_is_marked_in_the_ledger(client: MlflowClient, policy: Policy) -> None:
    promote(scene(client, policy), "3", Stage.STAGING, override_reason="the ward waits")
    (entry,) = read(MODEL, client)
    assert entry.override_reason == "the ward waits"
    assert "overridden: the ward waits" in entry.in_words()


def test_a_better_version_replaces_the_champion_and_a_rollback_brings_it_back(
    client: MlflowClient, policy: Policy
) -> None:
    release(client, policy, "1")
    release(client, policy, "2")
    assert scene(client, policy).state.stages == {"1": Stage.ARCHIVED, "2": Stage.PRODUCTION}
    back = rollback(scene(client, policy), why="misses blasts")
    assert (back.entry is not None and back.entry.version, back.replaced) == ("1", "2")
    assert client.get_model_version_by_alias(MODEL, "production").version in (1, "1")
    assert verify(client, MODEL).well
    with pytest.raises(UserError, match="no earlier good version"):
        rollback(scene(client, policy))


def test_a_rollback_reads_the_gates_again(client: MlflowClient, policy: Policy) -> None:
    release(client, policy, "1")
    release(client, policy, "2")
    stricter = parse_policy(POLICY.replace("0.8", "0.92"), "cells.yaml")
    assert rollback(scene(client, stricter)).entry is None
    assert scene(client, stricter).state.holder(Stage.PRODUCTION) == "2"


def test_what_was_never_in_production_does_not_come_back_to_it(client: MlflowClient, policy: Policy) -> None:
    release(client, policy, "1")
    assert promote(scene(client, policy), "2", Stage.STAGING).entry
    give_verdict(scene(client, policy), "2", Action.APPROVE, Stage.PRODUCTION, "")
    with pytest.raises(UserError, match="was never in Production"):
        rollback(scene(client, policy), to="2")


def test_a_rollback_passes_over_a_version_that_was_deleted(client: MlflowClient, policy: Policy) -> None:
    for version in ("1", "2"):
        release(client, policy, version)
    client.delete_model_version(MODEL, "1")
    with pytest.raises(UserError, match="no earlier good version"):
        rollback(scene(client, policy))


def test_a_version_whose_files_changed_since_is_not_released(client: MlflowClient, policy: Policy) -> None:
    assert promote(scene(client, policy), "1", Stage.STAGING).entry
    give_verdict(scene(client, policy), "1", Action.APPROVE, Stage.PRODUCTION, "")
    place = client.get_model_version_download_uri(MODEL, "1").removeprefix("file://")
    (Path(place) / "data" / "model.onnx").write_bytes(b"other")
    with pytest.raises(GateRefused, match=r"changed since .*: data/model.onnx"):
        promote(scene(client, policy), "1", Stage.PRODUCTION)


def test_a_file_that_training_did_not_make_is_not_released(client: MlflowClient, policy: Policy) -> None:
    client.set_model_version_tag(MODEL, "1", "mlops.onnx_digest", "a" * 64)
    with pytest.raises(GateRefused, match="none of its files is the ONNX file written by training"):
        promote(scene(client, policy), "1", Stage.STAGING)
    assert promote(scene(client, policy), "1", Stage.STAGING, override_reason="known").entry


def files_of(client: MlflowClient, version: str) -> Path:
    return Path(client.get_model_version_download_uri(MODEL, version).removeprefix("file://"))


def test_a_version_whose_files_are_gone_is_not_released_and_named(
    client: MlflowClient, policy: Policy
) -> None:
    shutil.rmtree(files_of(client, "1"))
    with pytest.raises(GateRefused, match="version 1 may not enter Staging: its files are missing"):
        promote(scene(client, policy), "1", Stage.STAGING)
    assert read(MODEL, client) == ()
    release(client, policy, "2")
    shutil.rmtree(files_of(client, "2"))
    assert not verify(client, MODEL).well


def test_an_approval_is_of_the_files_as_they_were(client: MlflowClient, policy: Policy) -> None:
    model = files_of(client, "1") / "MLmodel"
    before = model.read_text()
    give_verdict(scene(client, policy), "1", Action.APPROVE, Stage.PRODUCTION, "looked at 200 errors")
    model.write_text("other code")
    with pytest.raises(GateRefused, match="changed since the ledger recorded them: MLmodel"):
        promote(scene(client, policy), "1", Stage.STAGING)
    assert [fault.says for fault in verify(client, MODEL).faults] == ["version 1: MLmodel was changed"]
    with as_user("eve"), pytest.raises(GateRefused, match="version 1 is not approved: files changed since"):
        give_verdict(scene(client, policy), "1", Action.APPROVE, Stage.PRODUCTION, "")
    give_verdict(scene(client, policy), "1", Action.REJECT, Stage.STAGING, "was changed")
    model.write_text(before)
    assert promote(scene(client, policy), "1", Stage.STAGING).entry


def test_a_file_that_training_did_not_make_is_not_approved_either(
    client: MlflowClient, policy: Policy
) -> None:
    client.set_model_version_tag(MODEL, "1", "mlops.onnx_digest", "a" * 64)
    with pytest.raises(
        GateRefused, match="not approved: none of its files is the ONNX file written by training"
    ):
        give_verdict(scene(client, policy), "1", Action.APPROVE, Stage.PRODUCTION, "")
    assert read(MODEL, client) == ()


def test_a_loss_is_not_settled_away_by_an_override_that_fails(client: MlflowClient, policy: Policy) -> None:
    for version in ("1", "2"):
        assert promote(scene(client, policy), version, Stage.STAGING).entry
    client.delete_model_version(ledger_name(MODEL), "2")
    raise_hand(client, MODEL, "left by a crash")
    with pytest.raises(UserError, match="is already in Staging"):
        promote(
            begin(client, MODEL, policy, over_faults=True),
            "1",
            Stage.STAGING,
            override_reason="the ward waits",
        )
    with pytest.raises(LedgerBroken):
        scene(client, policy)


def test_an_entry_taken_out_is_named_after_an_override_too(client: MlflowClient, policy: Policy) -> None:
    assert promote(scene(client, policy), "1", Stage.STAGING).entry
    client.delete_model_version(ledger_name(MODEL), "1")
    with pytest.raises(LedgerBroken):
        scene(client, policy)
    over = begin(client, MODEL, policy, over_faults=True)
    promote(over, "2", Stage.STAGING, override_reason="the ward waits")
    promote(scene(client, policy), "3", Stage.STAGING, override_reason="and waits")
    assert [entry.over.partition(":")[0] for entry in read(MODEL, client)] == ["1", ""]
    said = [fault.says for fault in verify(client, MODEL).faults]
    assert any("entry 1 was changed or removed before entry 1 (" in each for each in said)


def test_another_policy_than_the_product_s_is_marked_in_the_ledger(working_directory: Path) -> None:
    client = connect()
    make_model(client, "oct-detector", 1, working_directory / "files")
    open_to_all = parse_policy("model: oct-detector\ngates: {}\n", "mine.yaml")
    moved = promote(begin(client, "oct-detector", open_to_all), "1", Stage.STAGING)
    assert moved.entry is not None
    assert moved.entry.policy == open_to_all.digest
    assert "by a policy that is not the product's" in moved.entry.in_words()
    found = verify(client, "oct-detector")
    assert found.well
    assert found.notes[0] == "entry 1 was judged by a policy that is not the built-in one"


def test_evidence_of_any_bytes_is_held_against_its_digest(client: MlflowClient, policy: Policy) -> None:
    moved = promote(scene(client, policy), "1", Stage.STAGING)
    assert moved.entry is not None
    path = evidence_path(MODEL, "1", moved.entry.evidence_digest)
    run = client.get_run(client.get_model_version(MODEL, "1").run_id)
    file = Path(run.info.artifact_uri.removeprefix("file://")) / path
    for content in (b"\xff\xfe", file.read_bytes().replace(b"{", b"{\r\n", 1)):
        file.write_bytes(content)
        assert [fault.says for fault in verify(client, MODEL).faults] == ["entry 1: its evidence was changed"]


def test_who_is_missing_an_approval_is_told_for_which_stage(client: MlflowClient) -> None:
    asks = parse_policy(f"model: {MODEL}\ngates: {{Staging: [{{kind: approvals}}]}}\n", "cells.yaml")
    judged = promote(scene(client, asks), "1", Stage.STAGING).judged
    assert judged is not None
    assert "add one with `mlops registry approve cells 1 --for staging`" in judged.results[0].says


def test_what_was_asked_and_answered_is_kept_with_the_figures(client: MlflowClient, policy: Policy) -> None:
    loose = parse_policy(POLICY.replace("0.8", "0.1"), "cells.yaml")
    moved = promote(scene(client, loose), "3", Stage.STAGING)
    assert moved.entry is not None
    text = kept(client, MODEL, "3", moved.entry.evidence_digest).decode()
    held = json.loads(text)
    assert held["policy"]["gates"]["Staging"][0]["minimum"] == 0.1
    assert (held["stage"], held["results"][0]["figure"]) == ("Staging", "0.5")
    run_id = client.get_model_version(MODEL, "3").run_id
    stricter = text.replace('"minimum":0.1', '"minimum":0.8')
    client.log_text(run_id, stricter, evidence_path(MODEL, "3", moved.entry.evidence_digest))
    assert [fault.says for fault in verify(client, MODEL).faults] == ["entry 1: its evidence was changed"]


def test_an_entry_shown_in_other_words_is_named(client: MlflowClient, policy: Policy) -> None:
    release(client, policy, "1")
    client.update_model_version(ledger_name(MODEL), "2", "Entry 2: rita approved version 3")
    (fault,) = verify(client, MODEL).faults
    assert "entry 2 has the description 'Entry 2: rita approved version 3'" in fault.says


def test_a_ledger_that_was_cut_off_is_named_though_everything_was_turned_back(
    client: MlflowClient, policy: Policy
) -> None:
    """Who may write to the server takes the last move out, and all that MLflow shows of it."""
    release(client, policy, "1")
    before = client.get_registered_model(MODEL).tags[HEAD_TAG]
    archive(scene(client, policy), "2")
    time.sleep(0.01)
    client.delete_model_version(ledger_name(MODEL), "4")
    client.set_registered_model_tag(MODEL, HEAD_TAG, before)
    client.transition_model_version_stage(MODEL, "2", "None")
    client.delete_model_version_tag(MODEL, "2", STAGE_TAG)
    (fault,) = verify(client, MODEL).faults
    assert "the ledger was changed or truncated" in fault.says


def test_a_renamed_model_does_not_move_without_its_ledger(client: MlflowClient, policy: Policy) -> None:
    release(client, policy, "1")
    client.rename_registered_model(MODEL, "blood")
    with pytest.raises(LedgerBroken, match="or the model was renamed"):
        begin(client, "blood", policy)


def test_what_was_rolled_back_from_needs_a_new_approval(client: MlflowClient, policy: Policy) -> None:
    release(client, policy, "1")
    release(client, policy, "2")
    assert rollback(scene(client, policy)).entry
    refused = promote(scene(client, policy), "2", Stage.PRODUCTION)
    assert refused.judged is not None
    assert [result.gate for result in refused.judged.refusing] == ["approvals"]
    give_verdict(scene(client, policy), "2", Action.APPROVE, Stage.PRODUCTION, "retested")
    assert promote(scene(client, policy), "2", Stage.PRODUCTION).entry


def test_a_version_whose_run_is_gone_can_be_looked_at(client: MlflowClient) -> None:
    client.create_model_version(MODEL, "nowhere:/", run_id="0" * 32, await_creation_for=0)
    assert facts(client, MODEL, "4").params == {}


@pytest.mark.parametrize(("version", "to"), [("1", Stage.PRODUCTION), ("1", Stage.NONE)])
def test_a_way_that_the_policy_does_not_have_is_refused(
    client: MlflowClient, policy: Policy, version: str, to: Stage
) -> None:
    with pytest.raises(UserError):
        promote(scene(client, policy), version, to)


def test_what_is_not_there_is_said_so(client: MlflowClient, policy: Policy) -> None:
    with pytest.raises(UnknownVersion, match="has no version '9'; its versions: 1, 2, 3"):
        promote(scene(client, policy), "9", Stage.STAGING)
    with pytest.raises(UnknownVersion, match="no registered model 'rails'"):
        begin(client, "rails", policy)
    with pytest.raises(BadSetting):
        archive_twice(client, policy)


def archive_twice(client: MlflowClient, policy: Policy) -> None:
    archive(scene(client, policy), "3")
    promote(scene(client, policy), "3", Stage.NONE)


def test_a_ledger_is_no_model_to_release(client: MlflowClient, policy: Policy) -> None:
    release(client, policy, "1")
    with pytest.raises(UserError, match="is a ledger"):
        begin(client, ledger_name(MODEL), policy)
    assert [each.model for each in status(client)] == [MODEL]


def test_status_tells_who_is_where_and_what_contradicts_itself(client: MlflowClient, policy: Policy) -> None:
    release(client, policy, "1")
    (well,) = status(client)
    assert well.production is not None
    assert well.newest is not None
    assert (well.production.version, well.newest.version, well.drift) == ("1", "3", "")
    client.set_registered_model_alias(MODEL, "production", "3")
    assert "@production is version 3, stage Production has 1" in status(client, MODEL)[0].drift


def test_what_was_changed_behind_the_ledger_s_back_is_told_by_the_next_command(
    client: MlflowClient, policy: Policy
) -> None:
    release(client, policy, "1")
    client.set_registered_model_alias(MODEL, "production", "3")
    told = "changed outside the ledger: alias @production is version 3; the ledger says version 1"
    assert scene(client, policy).found == (told,)
    assert promote(scene(client, policy), "2", Stage.STAGING).found == (told,)
    assert scene(client, policy).found == ()


def test_a_figure_that_is_no_number_is_told_in_words_that_programs_read(
    client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    client.log_metric(client.get_model_version(MODEL, "1").run_id, "test/loss", float("nan"))
    show(facts(client, MODEL, "1"), True, "")
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["metrics"]["test/loss"] is None


def test_two_versions_differ_in_what_was_recorded(client: MlflowClient) -> None:
    found = diff(facts(client, MODEL, "1"), facts(client, MODEL, "2"))
    assert [(d.kind, d.name, d.first, d.second) for d in found] == [
        ("metric", "test/macro_f1", "0.91", "0.93")
    ]
