"""`mlops registry` as it is typed: what it prints, and the code it leaves with."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlops.cli.main import run
from mlops.cli.registry.views import _moment
from mlops.store.client import connect
from tests.registry.shelves import make_model

POLICY = """
model: cells
gates:
  Staging:
    - {kind: floor, metric: test/macro_f1, minimum: 0.8}
  Production:
    - {kind: approvals, at_least: 1}
"""


@pytest.fixture
def policy(working_directory: Path) -> str:
    """A store with two versions, the second a bad one; the policy's file."""
    client = connect()
    make_model(client, "cells", 2, working_directory / "files")
    for version, value in (("1", 0.91), ("2", 0.5)):
        client.log_metric(client.get_model_version("cells", version).run_id, "test/macro_f1", value)
    (working_directory / "cells.yaml").write_text(POLICY)
    return str(working_directory / "cells.yaml")


def registry(*arguments: str) -> int:
    return run(["registry", *arguments])


def test_a_refused_version_leaves_with_3_and_a_good_one_with_0(
    policy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert registry("promote", "cells", "2", "--to", "staging", "--policy", policy) == 3
    said = capsys.readouterr()
    assert "test/macro_f1 is 0.5, the policy requires at least 0.8" in said.out
    assert "mlops: cells/2 may not enter Staging: 1 of 1 gates refuse (test/macro_f1 floor)" in said.err
    assert registry("promote", "cells", "1", "--to", "staging", "--policy", policy) == 0
    assert "rita promoted version 1 from None to Staging" in capsys.readouterr().out
    assert registry("verify", "cells", "--policy", policy) == 0


def test_results_are_json_for_programs(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    def asked(*arguments: str) -> dict:  # type: ignore[type-arg]
        assert registry(*arguments, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        return found[0] if isinstance(found, list) else found

    moved = asked("promote", "cells", "1", "--to", "staging", "--policy", policy)
    # after the late registration of both versions
    assert (moved["entry"]["sequence"], moved["judged"]["results"][0]["passed"]) == (3, True)
    said = asked("approve", "cells", "@staging", "--comment", "fine", "--policy", policy)
    assert (said["entry"]["action"], said["entry"]["to_stage"]) == ("approve", "Production")
    assert asked("status")["staging"]["version"] == "1"
    actions = [entry["action"] for entry in asked("show", "cells", "@staging")["entries"]]
    assert actions == ["register", "promote", "approve"]
    assert asked("diff", "cells", "1", "2")["name"] == "test/macro_f1"
    assert asked("history", "cells", "--at", "2026-01-01")["version"] is None
    assert asked("verify", "cells")["faults"] == []


def test_a_change_behind_the_ledger_s_back_leaves_with_1(
    policy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert registry("promote", "cells", "1", "--to", "staging", "--policy", policy) == 0
    connect().set_registered_model_alias("cells", "staging", "2")
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        registry("verify", "cells")
    assert left.value.code == 1
    assert "alias @staging is version 2; the ledger says version 1" in capsys.readouterr().out


def test_a_policy_judges_its_own_model_alone(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    other = Path(policy).with_name("other.yaml")
    other.write_text("model: rails\ngates: {}\n")
    assert registry("promote", "cells", "2", "--to", "staging", "--policy", str(other)) == 2
    assert "model is 'rails'; allowed: cells" in capsys.readouterr().err
    assert registry("verify", "cells", "--policy", str(other)) == 2


def test_what_a_terminal_sends_is_kept(policy: str) -> None:
    assert registry("archive", "cells", "1", "--why", "gr\u00fcn\nzweite Zeile\t", "--policy", policy) == 0
    assert registry("verify", "cells", "--policy", policy) == 0


@pytest.mark.parametrize("text", ["2026-05-17", "20260517", "2026-W20-7"])
def test_a_date_alone_is_its_end(text: str) -> None:
    assert _moment(text) == datetime(2026, 5, 17, 23, 59, 59, 999999, UTC)
    assert _moment("2026-05-17T12:00+02:00") == datetime(2026, 5, 17, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("promote", "cells", "7", "--to", "staging"), "has no version '7'; its versions: 1, 2"),
        (("promote", "cells", "1", "--to", "moon"), "'moon' is not one of"),
        (("promote", "cells", "1", "--to", "production"), "the transition from None"),
        (("rollback", "cells"), "no earlier good version of Production"),
        (("show", "cells", "@production"), "has no alias @production"),
        (("show", "cells", "7"), "not found"),
        (("show", "cells", "abc"), "'abc' is not a version of cells"),
        (("show", "cells", "0"), "cells"),
        (("diff", "cells", "1", "@x"), "has no alias @x"),
        (("measure", "cells", "@staging"), "has no alias @staging"),
        (("promote", "cells", "@x", "--to", "staging"), "has no alias @x"),
        (
            ("promote", "cells", "1", "--to", "staging", "--override-reason", " "),
            "a reason that is not blank",
        ),
        (("archive", "cells", "1", "--why", "x" * 2001), "shorten it"),
        (("reject", "cells", "1", "--comment", " "), "a reason that is not blank"),
        (("status", "it's"), "no registered model"),
        (("history", "it's"), "no registered model"),
        (("verify", "it's"), "no registered model"),
        (("show", "cells", "9" * 20), "is not a version of cells"),
        (("history", "cells.ledger"), "is a ledger"),
        (("history", "cells", "--at", ""), "2026-05-17"),
        (("verify", "cells.ledger"), "is a ledger"),
        (("status", "rails"), "no registered model 'rails'"),
        (("history", "cells", "--at", "soon"), "2026-05-17"),
        (("history", "rails"), "no registered model 'rails'"),
        (("verify", "rails"), "no registered model 'rails'"),
        (("archive", "cells", "1", "--policy", "nowhere.yaml"), "nowhere.yaml"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_with_2(
    policy: str, arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    without = {"show", "diff", "measure", "status", "--policy", "rails", "it's", "cells.ledger"}
    own = () if without & set(arguments) else ("--policy", policy)
    capsys.readouterr()
    assert registry(*arguments, *own) == 2
    assert says in capsys.readouterr().err.splitlines()[-1]
