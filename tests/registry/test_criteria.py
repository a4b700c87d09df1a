"""A report's success criteria say of a version what a promotion would read, its approvals included."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops.reports.tracked_facts import ReportData, ReportedVersion, RunFacts
from mlops.store.client import connect
from registry.ledger.entry import Action, Stage
from registry.policies.conditions import Approvals
from registry.policies.policy import Policy
from registry.stages.criteria import criteria_of
from registry.stages.lifecycle import give_verdict
from registry.stages.model_state import begin
from tests.registry.shelves import make_model


def test_an_approval_in_the_ledger_is_told(working_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect()
    make_model(client, "cells", 1, working_directory / "files")
    policy = Policy(model="cells", gates={Stage.PRODUCTION: (Approvals(kind="approvals"),)})
    run = RunFacts(client.get_model_version("cells", "1").run_id, "a training")
    data = ReportData("model", run, version=ReportedVersion("cells", "1"))

    def told() -> tuple[str, str]:
        (criterion,) = criteria_of(client, data, policy)
        return criterion.reached, criterion.level

    assert told() == ("0", "refused")
    monkeypatch.setenv("MLOPS_USER", "ann")
    give_verdict(begin(client, "cells", policy), "1", Action.APPROVE, Stage.PRODUCTION, "seen")
    assert told() == ("1 (ann)", "passed")
