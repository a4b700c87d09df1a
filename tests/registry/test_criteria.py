"""A report's success criteria say of a version what a promotion would read, its approvals included."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops.reports.facts import ReportData, RunFacts, VersionFacts
from registry.connect import connect
from registry.criteria import criteria_of
from registry.ledger.entry import Action, Stage
from registry.lifecycle import give_verdict
from registry.policies.conditions import Approvals
from registry.policies.policy import Policy
from registry.stages.scene import begin
from tests.registry.shelves import make_model


def test_an_approval_in_the_ledger_is_told(working_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect()
    make_model(client, "cells", 1, working_directory / "files")
    policy = Policy(model="cells", gates={Stage.PRODUCTION: (Approvals(kind="approvals"),)})
    run = RunFacts(client.get_model_version("cells", "1").run_id, "a training")
    data = ReportData("model", run, version=VersionFacts("cells", "1"))

    def told() -> tuple[str, str]:
        (criterion,) = criteria_of(client, data, policy)
        return criterion.reached, criterion.level

    assert told() == ("0", "refused")
    monkeypatch.setenv("MLOPS_USER", "ann")
    give_verdict(begin(client, "cells", policy), "1", Action.APPROVE, Stage.PRODUCTION, "seen")
    assert told() == ("1 (ann)", "passed")
