"""Lightning's checkpoint as a safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.plugins.io import CheckpointIO

from mlops.errors import UnsafeWeights
from mlops.training.checkpoint_reader import with_tensors
from mlops.training.tensor_file import read_tensors, write_tensors

_VALUE = "checkpoint"
_PARTS = {  # what Lightning takes without a check
    "epoch": int,
    "global_step": int,
    "pytorch-lightning_version": str,
    "state_dict": dict,
    "loops": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
}


class StateFile(CheckpointIO):  # type: ignore[misc]
    """Lightning's plug-in for reading and writing checkpoints, given to its `Trainer`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        write_tensors(Path(path), {}, **{_VALUE: checkpoint})

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Raises UnsafeWeights for a file of another kind or one that is damaged, OSError."""
        _, values = read_tensors(Path(path))
        held = values.get(_VALUE)
        if not isinstance(held, dict) or not all(isinstance(held.get(k), kind) for k, kind in _PARTS.items()):
            raise UnsafeWeights(f"{path} holds no checkpoint of a classifier's training")
        return held

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def write_recorded(checkpoint: Mapping[str, Any], file: Path, target: Path) -> None:
    """Write what Lightning stored in `file` in an earlier release: see `mlops.training.conversion`."""
    write_tensors(target, {}, **{_VALUE: with_tensors(dict(checkpoint))})
