"""One picture through EfficientNet-Lite0 at 224 px: the exported ONNX files beside eager PyTorch. To reach,
on a CPU of 2 cores: fp32 at least 4 times and int8 at least 6 times as fast.

All three take the same picture through the same network, normalisation and softmax in it. The peer is what
people write: `model.eval()` under `torch.inference_mode()`, contiguous, on all cores. Ours are the files
that `mlops export` writes, opened as the bundle's predict.py opens them. Each is timed in a process of its
own, one after the other, in rounds; the ratio is the median of the rounds' ratios of medians.

    python benchmarks/export.py [--weights FILE] [--rounds 5] [--calls 200] [--threads 0]

Without weights the network's are random, and its normalisations are set on demo pictures, so that numbers of
the usual size flow through it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

MODEL, SIDE, CLASSES = "tf_efficientnet_lite0", 224, tuple(f"class {i}" for i in range(8))
GOALS = {"fp32": 4.0, "int8": 6.0}
CALIBRATED_ON = 128


def prepared(folder: Path, weights: Path | None) -> Path:
    """Write weights.safetensors, model.onnx and model.int8.onnx into `folder`."""
    import torch

    from mlops.data import demo_dataset, open_dataset
    from mlops.training.classification import timm_network as networks
    from mlops.training.classification.classifier_export import export
    from registry.export.formats.contract import Original, Precision
    from registry.export.formats.onnx import OnnxFormat
    from registry.export.proof.held_out_images import calibration

    recipe = _recipe(str(weights) if weights else "none")
    network = networks.build(recipe, len(CLASSES), seed=0)
    data = str(demo_dataset("blood-cell-classifier", folder / "demo"))
    dataset = open_dataset([data], "classification", cache=folder / "cache")
    stated = {"resize": "stretch", "side": SIDE, "interpolation": "bilinear", "colour_order": "RGB"}
    stated |= {"layout": "NCHW", "scale": 1 / 255, "mean": [0, 0, 0], "std": [1, 1, 1]}
    if weights is None:
        norm = networks.normalisation(network)
        mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (norm.mean, norm.std))
        pictures = calibration(dataset, {**stated, "classes": CLASSES}, 64)
        with torch.no_grad():
            for batch in _batches(pictures, 16):
                network.train()((torch.from_numpy(batch) - mean) / std)
    networks.save(network.eval(), folder / "weights.safetensors")
    serving = export(recipe, CLASSES, folder / "weights.safetensors", folder / "serving")
    source = Original(
        name="benchmark/1",
        onnx=serving.onnx,
        preprocessing=serving.preprocessing,
        network=None,
        no_network="",
        calibration=partial(calibration, dataset, serving.preprocessing, CALIBRATED_ON),
        calibrates=CALIBRATED_ON,
    )
    for precision in (Precision.FP32, Precision.INT8):
        OnnxFormat().make(source, precision, folder)
    return folder


def _recipe(weights: str) -> Any:
    from mlops.systems.recipe import ClassificationRecipe

    return ClassificationRecipe.model_construct(model=MODEL, weights=weights, dropout=0.0, image_size=SIDE)


def _batches(pictures: Iterator[Any], size: int) -> Iterator[Any]:
    import numpy as np

    while batch := list(islice(pictures, size)):
        yield np.stack(batch)


def eager(folder: Path, calls: int, threads: int) -> list[float]:
    import torch

    from mlops.training.classification.classifier_export import network_served

    torch.set_num_threads(threads or os.cpu_count() or 1)
    network = network_served(_recipe("none"), len(CLASSES), folder / "weights.safetensors").eval()
    picture = torch.from_numpy(_picture())
    with torch.inference_mode():
        return timed(lambda: network(picture), calls)


def exported(name: str, folder: Path, calls: int, threads: int) -> list[float]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(folder / name, options, providers=["CPUExecutionProvider"])
    picture = {"images": _picture()}
    return timed(lambda: session.run(None, picture), calls)


def _picture() -> Any:
    import numpy as np

    return np.random.default_rng(0).random((1, 3, SIDE, SIDE), dtype=np.float32)


def timed(call: Callable[[], object], calls: int) -> list[float]:
    """Milliseconds of each call, after a warm-up of a tenth as many."""
    for _ in range(max(10, calls // 10)):
        call()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1000)
    return times


def apart(way: Callable[..., Any], *given: object) -> Any:
    """Run `way` in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(way, *given).result()


def main() -> None:
    parser = argparse.ArgumentParser(description="Exported files beside eager PyTorch")
    parser.add_argument(
        "--weights", type=Path, help="a safetensors file of the network; default: random ones"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--threads", type=int, default=0, help="of each; 0: one a core")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = apart(prepared, Path(place), given.weights)
        ways: dict[str, Callable[..., Any]] = {
            "eager": eager,
            "fp32": partial(exported, "model.onnx"),
            "int8": partial(exported, "model.int8.onnx"),
        }
        load = os.getloadavg()[0]
        rounds = [
            {name: apart(way, folder, given.calls, given.threads) for name, way in ways.items()}
            for _ in range(given.rounds)
        ]
    for name in ways:
        times = sorted(ms for each in rounds for ms in each[name])
        p50, p95 = statistics.median(times), times[int(0.95 * len(times))]
        line = f"{name:6} p50 {p50:7.2f} ms   p95 {p95:7.2f} ms"
        if name in GOALS:
            ratio = statistics.median(
                statistics.median(each["eager"]) / statistics.median(each[name]) for each in rounds
            )
            reached = "yes" if ratio >= GOALS[name] else "NO"
            line += f"   ratio {ratio:.2f}, to reach {GOALS[name]:g}: {reached}"
        print(line)
    print(f"{given.rounds} rounds of {given.calls} calls, load before {load:.1f}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
