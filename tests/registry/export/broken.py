"""Formats whose converter has a fault: one writes a file that is not the original, one breaks half-way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from registry.export.formats.contract import Original, Precision
from registry.export.formats.onnx import OnnxFormat


class Broken(OnnxFormat):
    def make(self, source: Original, precision: Precision, folder: Path) -> Path:
        file = super().make(source, precision, folder)
        model = onnx.load(str(file))
        largest = max(model.graph.initializer, key=lambda each: int(np.prod(each.dims)))
        values = numpy_helper.to_array(largest) * np.float32(-1.5)
        largest.CopyFrom(numpy_helper.from_array(values.astype(np.float32), largest.name))
        onnx.save(model, str(file))
        return file


class HalfMade(OnnxFormat):
    def make(self, source: Original, precision: Precision, folder: Path) -> Path:
        (folder / "half").mkdir()
        (folder / "half" / "made").write_bytes(b"")
        (folder / "half.bin").write_bytes(b"")
        raise RuntimeError("no such operator\nand more")
