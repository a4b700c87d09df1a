"""The trained torch network as what is converted, run and compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from registry.export.formats.contract import CallSession, NotMade, Original, Port, Session

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


INPUT = "images"


def network_of(source: Original) -> torch.nn.Module:
    """Raises NotMade if the version's weights are not available."""
    if source.network is None:
        raise NotMade(f"it needs the trained weights: {source.no_network}")
    network: torch.nn.Module = source.network
    for module in network.modules():
        if hasattr(module, "anchors") and hasattr(module, "shape"):
            setattr(module, "shape", None)  # noqa: B010 - a detector's memory of its last size: tensors, once it was traced
    return network.eval()


def torch_session(call: Any, side: int) -> Session:
    """A session around a torch function on float32 images; its outputs are named by their order."""
    import torch

    with torch.no_grad():
        answers = _tensors(call(torch.full((1, 3, side, side), 0.5)))
    gives = tuple(
        Port(f"output{i}", "tensor(float)", (None, *each.shape[1:])) for i, each in enumerate(answers)
    )

    def run(pictures: NDArray[Any]) -> Sequence[NDArray[Any]]:
        with torch.no_grad():
            return [each.numpy() for each in _tensors(call(torch.from_numpy(pictures)))]

    return CallSession(Port(INPUT, "tensor(float)", ("batch", 3, side, side)), gives, run)


def _tensors(answer: Any) -> tuple[torch.Tensor, ...]:
    return tuple(answer) if isinstance(answer, (tuple, list)) else (answer,)
