"""From `--device` to the device that Ultralytics is told."""

from __future__ import annotations

from mlops.errors import BadSetting, UserError

_ALLOWED = "auto, cpu, cuda, cuda:N or mps, where this machine has it"


def library_device(device: str) -> str:
    """`device` in Ultralytics' words: "cpu", "mps" or a CUDA index.

    Raises BadSetting for a device that this machine lacks, UserError for several at once.
    """
    import torch

    asked = device.strip().lower()
    if "," in asked:
        raise UserError(
            f"--device {device}: one training uses one device here; run trials side by side with --parallel"
        )
    if asked == "auto":
        if torch.cuda.is_available():
            return "0"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if asked == "cpu" or (asked == "mps" and torch.backends.mps.is_available()):
        return asked
    index = asked.removeprefix("cuda").removeprefix(":") or "0"
    if index.isdigit() and asked != "" and int(index) < torch.cuda.device_count():
        return str(int(index))
    raise BadSetting("the command line", "--device", device, _ALLOWED)
