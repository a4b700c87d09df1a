"""Seed 004's figures, fed in as a results.csv with the balance of each step, come back.

Inputs: 150 steps. Losses are straight lines between the seed's first and last. The seed gives the changes of
the weights (+275 %, +2,487 %) and the last ratio (15:1); from these the last weights are 1.875 and 0.125, and
the first 0.5 and 0.125 / 25.87. Between, the detection weight is at its last, and the classification weight
such that the ratio is 2 times its last in steps 1 to 10, 1.1 times in 11 to 100, and the last from 101 on.
"""

from __future__ import annotations

import pytest

from tests.reports.past import Desk, line
from tests.reports.told import Told, column, rounded

STEPS = range(1, 151)
FIRST, LAST = (
    {"detection": 0.5, "classification": 0.125 / 25.87},
    {"detection": 1.875, "classification": 0.125},
)


def _columns() -> dict[str, dict[int, float]]:
    ratio = {step: 15 * (2 if step <= 10 else 1.1 if step <= 100 else 1) for step in STEPS}
    detection = dict.fromkeys(STEPS, LAST["detection"]) | {1: FIRST["detection"]}
    classification = {step: detection[step] / ratio[step] for step in STEPS} | {1: FIRST["classification"]}
    return {
        "train/detection_loss": line((1, 5.7746), (150, 1.0139), 4),
        "train/loss": line((1, 5.7829), (150, 4.0149), 4),
        "balance/weight/detection": detection,
        "balance/weight/classification": classification,
        "balance/grad_norm/detection": line((1, 8.0), (150, 2.0)),
        "balance/grad_norm/classification": line((1, 0.5), (150, 1.9)),
        "balance/inverse_rate/detection": line((1, 1.0), (150, 0.9)),
        "balance/inverse_rate/classification": line((1, 1.0), (150, 1.1)),
    }


@pytest.fixture(scope="module")
def runs(desk: Desk) -> tuple[str, str]:
    more = {"experiment": "seed 004"}
    equal = {"train/detection_loss": line((1, 5.7746), (150, 3.0))}
    return (
        desk.ultralytics("gradnorm", _columns(), {"model": "yolov5s", "epochs": 150}, **more),
        desk.ultralytics("equal", equal, {"model": "yolov5s", "epochs": 150, "lr0": 0.1}, **more),
    )


@pytest.fixture(scope="module")
def told(desk: Desk, runs: tuple[str, str]) -> Told:
    return desk.told(runs[0], equal_weights=runs[1])


def test_improvement_of_the_losses(told: Told) -> None:
    table = told.cells("Balance of the tasks", "training losses")
    detection, total = table["detection loss"], table["loss"]
    assert (detection["first"].text, detection["last"].text) == ("5.7746", "1.0139")
    assert rounded(detection["change"], 1) == "-82.4%"
    assert (total["first"].text, total["last"].text) == ("5.7829", "4.0149")
    assert rounded(total["change"], 1) == "-30.6%"


def test_change_of_the_task_weights(told: Told) -> None:
    table = told.cells("Balance of the tasks", "task weights")
    assert rounded(table["detection"]["change"]) == "+275%"
    assert rounded(table["classification"]["change"]) == "+2,487%"


def test_ratio_of_the_weights(told: Told) -> None:
    assert "detection to classification: 15:1 at the end" in told.words("Balance of the tasks")


def test_phases_of_the_ratio(told: Told) -> None:
    table = told.table("Balance of the tasks", "phases")
    assert list(table) == ["quick search", "fine adjustment", "stable"]
    assert column(table, "epochs") == ["1-10", "11-100", "101-150"]
    assert table["stable"]["ratio at its end"] == "15:1"


def test_losses_beside_those_with_equal_weights(told: Told) -> None:
    table = told.table("Balance of the tasks", "training losses")["detection loss"]
    assert table["last, equal weights"] == "3.000"
    assert table["last, against equal weights"] == "-66.2 %"


def test_without_a_run_with_equal_weights_none_is_made_up(desk: Desk, runs: tuple[str, str]) -> None:
    alone = desk.told(runs[0])
    assert "no run was passed" in alone.words("Balance of the tasks")
    assert desk.told(runs[1]).left_out("Balance of the tasks").endswith("which has only one loss.")
