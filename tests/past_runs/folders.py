"""Run folders as Ultralytics leaves them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

HEADER = (
    "epoch,time,train/box_loss,train/cls_loss,train/dfl_loss,metrics/precision(B),metrics/recall(B),"
    "metrics/mAP50(B),metrics/mAP50-95(B),val/box_loss,val/cls_loss,val/dfl_loss,lr/pg0,lr/pg1,lr/pg2"
)
STARTED_S = 1_757_427_471  # 9 September 2025, 14:17:51 UTC
EPOCH_S = 246.0


def line(epoch: int, elapsed_s: float | None = None, map50_95: float | None = None) -> str:
    """A row of `results.csv`; the figures differ from epoch to epoch."""
    elapsed_s = epoch * EPOCH_S if elapsed_s is None else elapsed_s
    score = 0.8 + epoch / 1000 if map50_95 is None else map50_95
    values = (0.5 / epoch, 0.4 / epoch, 0.9, 0.91, 0.89, 0.942, score, 0.58, 0.46, 0.9, 0.01, 0.01, 0.01)
    return f"{epoch},{elapsed_s:.6g}," + ",".join(f"{value:.6g}" for value in values)


def table(epochs: Sequence[int]) -> str:
    return "\n".join([HEADER, *map(line, epochs)]) + "\n"


def run_folder(
    folder: Path,
    *,
    results: str | None = None,
    arguments: str | None = "epochs: 3\npatience: 100\nimgsz: 640\nlr0: 0.01\nname: a\nresume: null\n",
    weights: bool = True,
    plot: bool = False,
) -> Path:
    """Three epochs of three, unless told otherwise. None leaves a file out."""
    (folder / "weights").mkdir(parents=True, exist_ok=True)
    if arguments is not None:
        (folder / "args.yaml").write_text(arguments)
        os.utime(folder / "args.yaml", (STARTED_S, STARTED_S))
    (folder / "results.csv").write_text(table((1, 2, 3)) if results is None else results)
    ended = STARTED_S + 3 * EPOCH_S + 5
    os.utime(folder / "results.csv", (ended, ended))
    if weights:
        for name in ("best.pt", "last.pt"):
            (folder / "weights" / name).write_bytes(b"\x80\x04cnothing\nthat may be opened\n")
    if plot:
        (folder / "results.png").write_bytes(b"a picture")
    return folder
