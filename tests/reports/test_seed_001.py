"""Seed 001's tables, fed in as a results.csv each, come back.

Inputs, where a table gives a range and no epochs, are the plainest curves that have its figures; each test
says which. Percentages are fed in as fractions. `time` is spread evenly over the epochs.
"""

from __future__ import annotations

import math

import pytest

from tests.reports.past import STARTED_S, Desk, line
from tests.reports.told import Told, column, rounded

HOUR = 3600.0
YOLO11N = {1: 0.942, 10: 0.934, 20: 0.939, 40: 0.943, 60: 0.945, 80: 0.946, 95: 0.946}
YOLO11S = {1: 0.901, 10: 0.934, 30: 0.939, 50: 0.942, 80: 0.944, 100: 0.944}
LOSSES = {  # first and last epoch of 95
    "train/box_loss": (0.568, 0.234, "-59%"),
    "train/cls_loss": (0.446, 0.167, "-63%"),
    "train/dfl_loss": (0.917, 0.812, "-11%"),
    "val/box_loss": (0.587, 0.242, "-59%"),
    "val/cls_loss": (0.469, 0.184, "-61%"),
}
FIGURES = {
    "metrics/precision(B)": (0.904, 0.916, "+1.2 points"),
    "metrics/recall(B)": (0.894, 0.896, "+0.2 points"),
    "metrics/mAP50(B)": (0.942, 0.946, "+0.4 points"),
    "metrics/mAP50-95(B)": (0.834, 0.864, "+3.0 points"),
}
CLASSES = {  # final mAP50, epochs until 90 %, samples, samples a point
    "niaocao": (0.962, 8, 7755, "80.6"),
    "piaofuwu": (0.951, 12, 11728, "123.3"),
    "qiqiu": (0.943, 15, 9213, "97.7"),
    "suliaodai": (0.928, 25, 3635, "39.2"),
}


def elapsed(hours: float, epochs: int) -> dict[int, float]:
    return {epoch: round(hours * HOUR * epoch / epochs, 3) for epoch in range(1, epochs + 1)}


@pytest.fixture(scope="module")
def nano(desk: Desk) -> Told:
    """The best model: its milestones, losses, classes and machine."""
    columns = {"time": elapsed(6.5, 95), "time/images_per_s": dict.fromkeys(range(1, 96), 47.5)}
    columns |= {name: {1: first, 95: last} for name, (first, last, _) in {**FIGURES, **LOSSES}.items()}
    columns["metrics/mAP50(B)"] = YOLO11N
    for name, (final, reached, _, _) in CLASSES.items():
        columns[f"val/AP50/{name}"] = {**line((1, 0.6), (reached, 0.9)), **line((reached, 0.9), (95, final))}
    machine = (
        *(
            {"system/gpu_0_utilization_percentage": v, "system/cpu_utilization_percentage": 85.0}
            for v in (88, 90)
        ),
        {"system/gpu_0_memory_usage_megabytes": 28_400.0, "system/gpu_0_memory_usage_percentage": 71.0},
    )
    counts = {"train": {name: samples for name, (_, _, samples, _) in CLASSES.items()}}
    profile = {"pictures": {"train": 11_700, "val": 900}, "classes": list(CLASSES), "counts": counts}
    arguments = {"model": "yolo11n", "epochs": 95, "batch": 16}
    more = {"experiment": "seed 001", "profile": profile, "machine": machine}
    return desk.told(desk.ultralytics("yolo11n_20250909_141751", columns, arguments, **more))


def test_learning_curve_milestones_of_yolo11n(nano: Told) -> None:
    table = nano.table("Progression", "milestone")
    assert {int(e): float(c["mAP50"]) for e, c in table.items() if c["mAP50"] != "-"} == YOLO11N


def test_learning_curve_milestones_of_yolo11s(desk: Desk) -> None:
    arguments = {"model": "yolo11s", "epochs": 100}
    run = desk.ultralytics("yolo11s", {"metrics/mAP50(B)": YOLO11S}, arguments, experiment="seed 001 s")
    table = desk.told(run).table("Progression", "milestone")
    assert {int(e): float(c["mAP50"]) for e, c in table.items()} == YOLO11S


def test_loss_evolution(nano: Told) -> None:
    table = nano.cells("Losses", "first against last")
    for name, (first, last, change) in LOSSES.items():
        told = table[name.replace("/", " ").replace("_", " ")]
        assert (told["epoch 1"].text, told["epoch 95"].text) == (f"{first:.3f}", f"{last:.3f}")
        assert rounded(told["change"]) == change


def test_performance_figures_progression(nano: Told) -> None:
    table = nano.table("Progression", "first against last")
    for name, (first, last, change) in FIGURES.items():
        told = table["val " + name.removeprefix("metrics/").removesuffix("(B)")]
        assert (told["epoch 1"], told["epoch 95"], told["change"]) == (f"{first:.3f}", f"{last:.3f}", change)


def test_completed_and_incomplete_sessions(desk: Desk) -> None:
    """Inputs: epochs, hours and last mAP50 of each; the failed one has no best weights, as Ultralytics leaves
    it."""
    kept = {"yolo11n_141751": (95, 95, 6.5, 0.946), "yolo11n_railway": (100, 100, 6.8, 0.945)}
    kept |= {"yolo11s_railway": (100, 100, 11.2, 0.944), "yolov11s_railway6": (19, 100, 2.1, 0.93)}
    runs = [_session(desk, name, *figures, weights=True) for name, figures in kept.items()]
    _session(desk, "yolo11n_141815", 1, 100, 0.07, 0.9, weights=False)
    told = desk.told(runs[0])
    done = told.table("Training sessions", "completed")
    assert column(done, "duration") == ["6.5 h", "6.8 h", "11.2 h"]
    assert column(done, "final val mAP50") == ["0.946", "0.945", "0.944"]
    assert column(done, "epochs") == ["95", "100", "100"]
    stopped = told.table("Training sessions", "failed")
    assert (stopped["yolo11n_141815"]["status"], stopped["yolo11n_141815"]["epochs"]) == (
        "failed",
        "1 of 100",
    )
    assert stopped["yolov11s_railway6"]["status"] == "killed"
    assert stopped["yolov11s_railway6"]["epochs"] == "19 of 100"
    assert "19 of 100 epochs" in stopped["yolov11s_railway6"]["reason"]


def _session(
    desk: Desk, name: str, epochs: int, planned: int, hours: float, last: float, *, weights: bool
) -> str:
    figures = {"time": elapsed(hours, epochs), "metrics/mAP50(B)": dict.fromkeys(range(1, epochs + 1), last)}
    if weights:
        (desk.folder / name / "weights").mkdir(parents=True)
        (desk.folder / name / "weights" / "best.pt").write_bytes(b"weights")
    start = STARTED_S + 100 * len(list(desk.folder.iterdir()))  # one after another
    arguments = {"epochs": planned, "name": name}
    return desk.ultralytics(name, figures, arguments, started_s=start, experiment="seed 001 sessions")


def test_time_and_machine(nano: Told) -> None:
    facts = nano.facts("Time and machine")
    assert facts["total, from start to end of the run"] == "6.5 h"
    assert facts["one epoch, mean"] == "4.1 min"
    assert facts["images per second in training, mean"] == "47.5"
    assert facts["GPU 0 busy, mean"] == "89 %"
    assert facts["GPU 0 memory, peak"] == "28.4 GB (71 %)"
    assert facts["CPU busy, mean"] == "85 %"
    assert "Bottleneck: GPU" in nano.words("Time and machine")


def test_box_loss_decrease_by_range_of_epochs(desk: Desk) -> None:
    """Inputs: straight lines that end 35, 25, 15 and 8 % below the end of the range before."""
    values, start = {1: 1.0}, 1.0
    before = 1
    for last, decrease in ((10, 0.35), (30, 0.25), (60, 0.15), (100, 0.08)):
        end = start * (1 - decrease)
        values |= line((before, start), (last, end))
        before, start = last, end
    run = desk.ultralytics("box", {"train/box_loss": values}, {"epochs": 100}, experiment="seed 001 box")
    told = desk.told(run)
    table = told.table("Convergence", "train box loss")
    assert list(table) == ["1-10", "11-30", "31-60", "61-100"]
    assert [rounded(cells["decrease"]) for cells in told.cells("Convergence", "train").values()] == [
        "-35%",
        "-25%",
        "-15%",
        "-8%",
    ]
    assert column(table, "speed") == ["rapid", "moderate", "slow", "minimal"]


def test_classification_loss_decrease_by_range_of_epochs(desk: Desk) -> None:
    """Inputs: lines as above, with a zigzag of 8, 3 and 0.5 % of the loss upon them, except at their ends."""
    values, start, before = {1: 1.0}, 1.0, 1
    for last, decrease, noise in ((20, 0.45, 0.08), (50, 0.30, 0.03), (100, 0.10, 0.005)):
        end = start * (1 - decrease)
        straight = line((before, start), (last, end))
        values |= {e: v * (1 + noise * (-1) ** e) if before < e < last else v for e, v in straight.items()}
        before, start = last, end
    run = desk.ultralytics("cls", {"train/cls_loss": values}, {"epochs": 100}, experiment="seed 001 cls")
    told = desk.told(run)
    table = told.table("Convergence", "train cls loss")
    assert list(table) == ["1-20", "21-50", "51-100"]
    assert [rounded(cells["decrease"]) for cells in told.cells("Convergence", "train").values()] == [
        "-45%",
        "-30%",
        "-10%",
    ]
    assert column(table, "variance") == ["high", "moderate", "low"]


def test_stability_by_quarter(desk: Desk) -> None:
    """Inputs: in each quarter of 25 epochs one figure at the mean and twelve each a step above and below it,
    the step being sd * sqrt(25 / 24)."""
    quarters = {
        "1-25": (0.928, 0.012),
        "26-50": (0.939, 0.008),
        "51-75": (0.943, 0.004),
        "76-100": (0.945, 0.002),
    }
    values = {}
    for quarter, (mean, sd) in enumerate(quarters.values()):
        step = sd * math.sqrt(25 / 24)
        offsets = [0.0, *([step, -step] * 12)]
        values |= {25 * quarter + i + 1: round(mean + offset, 8) for i, offset in enumerate(offsets)}
    run = desk.ultralytics(
        "stable", {"metrics/mAP50(B)": values}, {"epochs": 100}, experiment="seed 001 stable"
    )
    table = desk.told(run).table("Stability", "by quarter")
    assert list(table) == list(quarters)
    assert column(table, "mean") == ["0.9280", "0.9390", "0.9430", "0.9450"]
    assert column(table, "standard deviation") == ["1.20 points", "0.80 points", "0.40 points", "0.20 points"]
    assert column(table, "coefficient of variation") == ["1.3 %", "0.9 %", "0.4 %", "0.2 %"]


@pytest.fixture(scope="module")
def scheduled(desk: Desk) -> Told:
    """Inputs: three epochs of linear warm-up, cosine decay from then to epoch 100; a loss that falls."""
    rate = {1: 0.001, 2: 0.0055, 3: 0.01}
    for epoch in range(4, 101):
        rate[epoch] = round(0.0001 + (0.01 - 0.0001) * (1 + math.cos(math.pi * (epoch - 3) / 97)) / 2, 8)
    columns = {"lr/pg0": rate, "train/box_loss": {e: round(1 / e + 0.2, 5) for e in rate}}
    columns["metrics/mAP50(B)"] = {e: round(0.9 - 0.5 / e, 5) for e in rate}
    return desk.told(desk.ultralytics("lr", columns, {"epochs": 100}, experiment="seed 001 lr"))


def test_learning_rate_progression(scheduled: Told) -> None:
    table = scheduled.table("Learning rate", "by phase")
    assert {e: (c["phase"], c["from"], c["to"]) for e, c in table.items()} == {
        "1-3": ("warm-up", "0.001", "0.01"),
        "4-100": ("cosine decay", "0.01", "0.0001"),
    }


def test_high_mid_and_low_rates_are_those_of_the_seed(scheduled: Told) -> None:
    """High is above 0.005, low below 0.001: half and a tenth of the peak of 0.01."""
    table = scheduled.table("Learning rate", "high, mid and low")
    assert [each.split()[0] for each in table] == ["high", "mid", "low"]
    ends = [tuple(map(int, each.split("-"))) for each in column(table, "epochs")]
    assert ends[0][0] == 3
    assert ends[2][1] == 100
    assert ends[0][1] + 1 == ends[1][0]
    assert ends[1][1] + 1 == ends[2][0]


def test_final_figure_of_each_class_and_epochs_until_90_percent(nano: Told) -> None:
    table = nano.table("Classes", "AP50 of each class")
    assert list(table) == list(CLASSES)
    for name, (final, reached, samples, per_point) in CLASSES.items():
        assert table[name]["final val AP50"] == f"{final:.3f}"
        assert table[name]["epochs to 0.90"] == str(reached)
        assert (table[name]["samples"], table[name]["samples per point"]) == (f"{samples:,}", per_point)
    assert "Hardest class: suliaodai" in nano.words("Classes")


def test_samples_and_imbalance_of_the_data_set(nano: Told) -> None:
    table = nano.table("Data set", "samples of each class")
    assert {name: cells["train"] for name, cells in table.items()} == {
        name: f"{samples:,}" for name, (_, _, samples, _) in CLASSES.items()
    }
    assert "piaofuwu has 3.2 times the samples of suliaodai" in nano.words("Data set")


def test_class_that_lags_is_named_with_its_samples(nano: Told) -> None:
    table = nano.table("Anomalies")["class left behind"]
    assert table["where"] == "suliaodai"
    assert "3,635 against 11,728" in table["advice"]


def test_loss_spikes_and_oscillation_are_found_where_the_seed_saw_them(desk: Desk) -> None:
    """Inputs: a box loss that stands 40 % higher in epochs 3 to 5; mAP50 that goes 0.3 points up and down
    about 0.944 in epochs 41 to 60."""
    loss = {e: 0.5 - e / 1000 for e in range(1, 101)}
    loss |= {e: loss[e] * 1.4 for e in (3, 4, 5)}
    figure = dict.fromkeys(range(1, 101), 0.944)
    figure |= {e: 0.944 + 0.003 * (-1) ** e for e in range(41, 61)}
    columns = {"train/box_loss": loss, "metrics/mAP50(B)": figure}
    run = desk.ultralytics("odd", columns, {"epochs": 100}, experiment="seed 001 odd")
    table = desk.told(run).table("Anomalies")
    assert table["loss spike"]["epochs"] == "3-5"
    assert table["oscillation"]["epochs"] == "41-60"
    assert table["oscillation"]["value"] == "±0.3 points"
