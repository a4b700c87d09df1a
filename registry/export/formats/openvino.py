"""OpenVINO's intermediate representation, converted from the version's ONNX file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from numpy.typing import NDArray

_INFO = ["vision_mlops", "preprocessing"]


class OpenVinoFormat:
    """See `Format`. Two files: `.xml`, which is opened, and `.bin`. fp16: weights only.

    A detector outputs its raw head; the caller applies NMS as described by the preprocessing.
    """

    name = "openvino"
    precisions = (Precision.FP32, Precision.FP16)

    def make(self, source: Original, precision: Precision, folder: Path) -> Path:
        try:
            import openvino
        except ImportError as error:
            raise NotMade("openvino is not installed: pip install 'vision-mlops[export]'") from error
        file = folder / file_name(precision, ".xml")
        model = openvino.convert_model(str(source.onnx))
        model.set_rt_info(json.dumps(dict(source.preprocessing)), _INFO)
        openvino.save_model(model, str(file), compress_to_fp16=precision is Precision.FP16)
        return file

    def open(self, made: Path, *, score: float | None = None) -> Session:
        try:
            import openvino
        except ImportError as error:
            raise NotRun("openvino is not installed: pip install 'vision-mlops[export]'") from error
        core = openvino.Core()
        try:
            # on every CPU: no implicit arithmetic in bfloat16 or float16
            compiled = core.compile_model(str(made), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        except RuntimeError as error:
            raise NotRun(f"OpenVINO cannot load it: {str(error).splitlines()[0]}") from error

        def run(pictures: NDArray[Any]) -> Sequence[NDArray[Any]]:
            answers = compiled(pictures)
            return [answers[index].copy() for index in range(len(compiled.outputs))]

        gives = tuple(
            Port(f"output{i}", "tensor(float)", (None,) * len(each.partial_shape))
            for i, each in enumerate(compiled.outputs)
        )
        taken = [each.get_length() if each.is_static else None for each in compiled.inputs[0].partial_shape]
        return CallSession(Port("images", "tensor(float)", taken), gives, run)

    def preprocessing_in(self, made: Path) -> Mapping[str, Any]:
        import openvino

        held = openvino.Core().read_model(str(made)).get_rt_info(_INFO)
        said: Mapping[str, Any] = json.loads(held.value if hasattr(held, "value") else str(held))
        return said
