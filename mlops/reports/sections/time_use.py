"""Time of the training, machine utilisation, and the bottleneck."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from mlops.reports import number_format
from mlops.reports.analysis.bottlenecks import Use, bottleneck, pauses, slow_epochs
from mlops.reports.cells import Cells, spanning, words
from mlops.reports.document import Block, Cell, FigureFile, MissingSection, ReportTable, Section, Text

if TYPE_CHECKING:
    from mlops.reports.tracked_facts import ReportData
    from mlops.store.histories import Curve

TITLE = "Time and machine"
_EPOCH, _SPEED = "time/epoch_s", "time/images_per_s"
_PANELS = {_EPOCH: "the time of an epoch", _SPEED: "images per second"}
_CPU, _MEMORY = "system/cpu_utilization_percentage", "system/system_memory_usage"
_READ, _WRITTEN = "system/disk_read_megabytes_per_second", "system/disk_write_megabytes_per_second"


def build(data: ReportData) -> Section | MissingSection:
    run, cells = data.run, Cells(data.run)
    rows: list[tuple[Cell, ...]] = [(words("total, from start to end of the run"), _wall(data, cells))]
    rows += _epochs(cells)
    used, use = _machine(cells)
    if not (rows[1:] or used):
        return MissingSection(TITLE, "Neither epoch times nor system metrics were recorded with this run.")
    blocks: list[Block] = [ReportTable(("", ""), (*rows, *used))]
    if not run.names("system/gpu_"):
        blocks.append(Text("No GPU metrics were recorded with this run."))
    if not any(key in run.curves for key in (_READ, _WRITTEN)):
        blocks.append(Text("Disk reads and writes were not recorded with this run."))
    held_up = bottleneck(use)
    named = tuple(
        key for key in run.names("system/") if "utilization" in key or "memory_usage_percentage" in key
    )
    blocks.append(
        Text(f"Bottleneck: {held_up.name}; {held_up.says}.", tuple(cells.source(key) for key in named))
        if held_up
        else Text("The bottleneck is unknown: no system metrics were recorded with this run.")
    )
    blocks += _stops(cells)
    curves = [run.curves[key] for key in (_EPOCH, _SPEED, _CPU, *_gpu_use(cells)) if key in run.curves]
    if curves:
        from mlops.reports.report_figures import draw_time

        sources = tuple(cells.source(c.key, spanning(c.steps)) for c in curves)
        told = [_PANELS.get(curve.key, "machine utilisation") for curve in curves]
        says = f"By epoch and over time: {', '.join(dict.fromkeys(told))}."
        blocks.append(FigureFile("time", says, lambda: draw_time(curves, run.started_ms), sources))
    return Section(TITLE, tuple(blocks))


def _wall(data: ReportData, cells: Cells) -> Cell:
    run = data.run
    so_far = " so far" if run.ended_ms is None else ""
    return cells.info(number_format.duration(run.wall_s) + so_far, "end_time - start_time", run.wall_s)


def _epochs(cells: Cells) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    seconds = _finite(cells, _EPOCH)
    if seconds is not None:
        total, mean = sum(seconds.values), statistics.fmean(seconds.values)
        rows += [
            (words("all epochs together"), cells.over(_EPOCH, "sum", total, number_format.duration(total))),
            (words("one epoch, mean"), cells.over(_EPOCH, "mean", mean, number_format.duration(mean))),
        ]
        if len(seconds.values) > 1:
            fast, slow = min(seconds.values), max(seconds.values)
            rows += [
                (words("fastest epoch"), cells.over(_EPOCH, "minimum", fast, number_format.duration(fast))),
                (words("slowest epoch"), cells.over(_EPOCH, "maximum", slow, number_format.duration(slow))),
            ]
    speed = _finite(cells, _SPEED)
    if speed is not None:
        mean = statistics.fmean(speed.values)
        rows.append(
            (
                words("images per second in training, mean"),
                cells.over(_SPEED, "mean", mean, cells.text(_SPEED, mean)),
            )
        )
    return rows


def _machine(cells: Cells) -> tuple[list[tuple[Cell, ...]], Use]:
    rows: list[tuple[Cell, ...]] = []
    gpu: list[float] = []
    gpu_memory: list[float] = []
    for key in _gpu_use(cells):
        number = key.removeprefix("system/gpu_").partition("_")[0]
        mean = _mean(cells, key)
        gpu.append(mean)
        rows.append((words(f"GPU {number} busy, mean"), cells.over(key, "mean", mean, f"{mean:.0f} %")))
        base = f"system/gpu_{number}_memory_usage"
        if (share := _finite(cells, f"{base}_percentage")) is not None:
            gpu_memory.append(max(share.values))
        if (found := _peak(cells, base)) is not None:
            rows.append((words(f"GPU {number} memory, peak"), found))
    cpu = _mean(cells, _CPU) if _finite(cells, _CPU) else None
    if cpu is not None:
        rows.append((words("CPU busy, mean"), cells.over(_CPU, "mean", cpu, f"{cpu:.0f} %")))
    memory = _finite(cells, f"{_MEMORY}_percentage")
    if (found := _peak(cells, _MEMORY)) is not None:
        rows.append((words("memory of the machine in use, peak"), found))
    for says, key in (("disk reads, mean", _READ), ("disk writes, mean", _WRITTEN)):
        if _finite(cells, key) is not None:
            mean = _mean(cells, key)
            rows.append((words(says), cells.over(key, "mean", mean, f"{mean:.3g} MB/s")))
    rows += _network(cells)
    return rows, Use(
        cpu=cpu,
        gpu=statistics.fmean(gpu) if gpu else None,
        gpu_memory=max(gpu_memory, default=None),
        memory=max(memory.values) if memory else None,
    )


def _peak(cells: Cells, base: str) -> Cell | None:
    """Peak use in GB of 10^9 bytes, with its share if recorded."""
    used, share = _finite(cells, f"{base}_megabytes"), _finite(cells, f"{base}_percentage")
    if used is None:
        return None
    most = max(used.values)
    part = f" ({max(share.values):.0f} %)" if share is not None else ""
    return cells.over(used.key, "maximum", most, f"{most / 1000:.1f} GB{part}")


def _network(cells: Cells) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for says, key in (
        ("received", "system/network_receive_megabytes"),
        ("sent", "system/network_transmit_megabytes"),
    ):
        found = _finite(cells, key)
        if found is not None:
            most = max(found.values)
            text = f"{most:.0f} MB" if most >= 10 else f"{most:.2g} MB"
            rows.append((words(f"network of the machine, {says}"), cells.over(key, "maximum", most, text)))
    return rows


def _stops(cells: Cells) -> list[Text]:
    seconds = cells.run.curve(_EPOCH)
    if seconds is None:
        return []
    texts = [
        Text(
            f"The training was interrupted for {number_format.duration(p.pause_s)} between epochs {p.after} "
            f"and {p.before} and then resumed.",
            (cells.source(_EPOCH, f"{p.after},{p.before}"),),
        )
        for p in pauses(seconds)
    ]
    slow = slow_epochs(seconds.finite())
    if slow:
        listed = ", ".join(map(str, slow[:12])) + (" ..." if len(slow) > 12 else "")
        says = f"{len(slow)} epochs took more than 1.5 times the median: {listed}."
        texts.append(Text(says, (cells.source(_EPOCH, spanning(seconds.steps)),)))
    return texts


def _gpu_use(cells: Cells) -> list[str]:
    return [
        k
        for k in cells.run.names("system/gpu_")
        if k.endswith("_utilization_percentage") and _finite(cells, k)
    ]


def _finite(cells: Cells, key: str) -> Curve | None:
    curve = cells.run.curve(key)
    finite = curve.finite() if curve is not None else None
    return finite if finite is not None and finite.values else None


def _mean(cells: Cells, key: str) -> float:
    return statistics.fmean(cells.run.curves[key].finite().values)
