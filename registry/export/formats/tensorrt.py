"""TensorRT: an engine for the NVIDIA GPU that it is built on."""

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

_MOST = 8  # images per call


class TensorRtFormat:
    """See `Format`. The preprocessing is a separate file, as an engine has no custom metadata.

    A detector outputs its raw head; the caller applies NMS as described by the preprocessing.
    """

    name = "tensorrt"
    precisions = (Precision.FP32, Precision.FP16)

    def make(self, source: Original, precision: Precision, folder: Path) -> Path:
        if reason := _not_here():
            raise NotMade(reason)
        import tensorrt

        logger = tensorrt.Logger(tensorrt.Logger.ERROR)
        builder = tensorrt.Builder(logger)
        network = builder.create_network(0)
        parser = tensorrt.OnnxParser(network, logger)
        if not parser.parse(source.onnx.read_bytes()):
            raise NotMade(f"TensorRT cannot parse the ONNX file: {parser.get_error(0)}")
        config = builder.create_builder_config()
        if precision is Precision.FP16:
            config.set_flag(tensorrt.BuilderFlag.FP16)
        profile, side = builder.create_optimization_profile(), source.side
        profile.set_shape(
            network.get_input(0).name, (1, 3, side, side), (1, 3, side, side), (_MOST, 3, side, side)
        )
        config.add_optimization_profile(profile)
        engine = builder.build_serialized_network(network, config)
        if engine is None:
            raise NotMade("TensorRT cannot build an engine from the ONNX file")
        made = folder / file_name(precision, ".engine")
        made.write_bytes(bytes(engine))
        _beside(made).write_text(json.dumps(dict(source.preprocessing)), encoding="utf-8")
        return made

    def open(self, made: Path, *, score: float | None = None) -> Session:
        if reason := _not_here():
            raise NotRun(reason)
        import tensorrt
        import torch

        engine = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR)).deserialize_cuda_engine(
            made.read_bytes()
        )
        if engine is None:
            raise NotRun("the engine was built with another TensorRT version or for another GPU")
        context = engine.create_execution_context()
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        outputs = [n for n in names if engine.get_tensor_mode(n) == tensorrt.TensorIOMode.OUTPUT]
        entry = next(name for name in names if name not in outputs)
        side = int(self.preprocessing_in(made)["side"])

        def run(pictures: NDArray[Any]) -> Sequence[NDArray[Any]]:
            given = torch.from_numpy(pictures).cuda().contiguous()
            context.set_input_shape(entry, tuple(given.shape))
            context.set_tensor_address(entry, given.data_ptr())
            answers = [torch.empty(tuple(context.get_tensor_shape(n)), device="cuda") for n in outputs]
            for name, answer in zip(outputs, answers, strict=True):
                context.set_tensor_address(name, answer.data_ptr())
            stream = torch.cuda.current_stream()
            context.execute_async_v3(stream.cuda_stream)
            stream.synchronize()
            return [answer.cpu().numpy() for answer in answers]

        gives = tuple(
            Port(n, "tensor(float)", (None,) * len(tuple(engine.get_tensor_shape(n)))) for n in outputs
        )
        return CallSession(Port(entry, "tensor(float)", (_MOST, 3, side, side)), gives, run)

    def preprocessing_in(self, made: Path) -> Mapping[str, Any]:
        said: Mapping[str, Any] = json.loads(_beside(made).read_text(encoding="utf-8"))
        return said


def _beside(made: Path) -> Path:
    return made.with_name(f"{made.name}.preprocessing.json")


def _not_here() -> str:
    """Why TensorRT cannot be used on this machine; "" if it can."""
    try:
        import torch
    except ImportError:
        return "torch is not installed: pip install 'vision-mlops[train]'"
    if not torch.cuda.is_available():
        return "TensorRT needs an NVIDIA GPU; none is available"
    try:
        import tensorrt  # noqa: F401
    except ImportError:
        return "tensorrt is not installed; run `pip install tensorrt`"
    return ""
