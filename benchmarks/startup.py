"""`mlops --help` beside `mlflow --help`: wall time of the whole process, in turn. To reach: at most 0.25 s.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 9


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    folder = Path(sys.executable).parent
    ours, theirs = [str(folder / "mlops"), "--help"], [str(folder / "mlflow"), "--help"]
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(ROUNDS)]
    own, peer = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"mlops --help   median {own:.3f} s of {ROUNDS}")
    print(f"mlflow --help  median {peer:.3f} s of {ROUNDS}")
    print(f"ratio          {own / peer:.2f}   to reach: mlops <= 0.25 s: {'yes' if own <= 0.25 else 'NO'}")


if __name__ == "__main__":
    main()
