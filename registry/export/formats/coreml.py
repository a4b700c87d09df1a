"""Core ML, converted from the trained network. Runs only on macOS."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import platform
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from registry.export.formats.contract import (
    CallSession,
    NotMade,
    NotRun,
    Original,
    Port,
    Precision,
    Session,
    file_name,
)
from registry.export.formats.torch_source import network_of

_KEY = "preprocessing"


class CoreMlFormat:
    """See `Format`. A folder `.mlpackage`; batch size 1; probabilities or the raw head."""

    name = "coreml"
    precisions = (Precision.FP32, Precision.FP16)

    def make(self, source: Original, precision: Precision, folder: Path) -> Path:
        coremltools = _library()
        made = folder / file_name(precision, ".mlpackage")
        with _silent():
            model = _converted(coremltools, source, precision)
        model.user_defined_metadata[_KEY] = json.dumps(dict(source.preprocessing))
        model.save(str(made))
        return made

    def open(self, made: Path, *, score: float | None = None) -> Session:
        if platform.system() != "Darwin":
            raise NotRun(f"Core ML needs macOS; this is {platform.system()}")
        model = _library().models.MLModel(str(made))
        side = int(self.preprocessing_in(made)["side"])
        names = [each.name for each in model.get_spec().description.output]
        gives = tuple(
            Port(name, "tensor(float)", (1,) * model.predict(_grey(side))[name].ndim) for name in names
        )

        def run(pictures: Any) -> list[Any]:
            answers = model.predict({"images": pictures})
            return [answers[name] for name in names]

        return CallSession(Port("images", "tensor(float)", (1, 3, side, side)), gives, run)

    def preprocessing_in(self, made: Path) -> Mapping[str, Any]:
        model = _library().models.MLModel(str(made), skip_model_load=True)
        said: Mapping[str, Any] = json.loads(model.user_defined_metadata[_KEY])
        return said


def _converted(coremltools: Any, source: Original, precision: Precision) -> Any:
    """Uses torch.export instead of tracing, as its sizes are plain numbers, which numpy 2.4 requires."""
    import torch

    network = network_of(source)
    example = torch.full((1, 3, source.side, source.side), 0.5)
    with torch.no_grad():
        network(example)  # a detector lays out its grid for the size of its last call
        program = torch.export.export(network, (example,)).run_decompositions({})
    half = precision is Precision.FP16
    return coremltools.convert(
        program,
        inputs=[coremltools.TensorType("images", (1, 3, source.side, source.side))],
        convert_to="mlprogram",
        compute_precision=coremltools.precision.FLOAT16 if half else coremltools.precision.FLOAT32,
        skip_model_load=True,
    )


def _library() -> Any:
    try:
        with _silent():
            import coremltools
    except ImportError as error:
        raise NotMade("coremltools is not installed: pip install 'vision-mlops[export]'") from error
    return coremltools


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Hides progress bars and warnings about torch versions."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _grey(side: int) -> dict[str, Any]:
    import numpy as np

    return {"images": np.full((1, 3, side, side), 0.5, np.float32)}
