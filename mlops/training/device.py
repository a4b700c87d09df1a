"""Convert `--device` to a torch device and to Ultralytics' notation."""

from __future__ import annotations

from mlops.errors import BadSetting, UserError

_ALLOWED = "auto, cpu, cuda, cuda:N or mps, if this machine has it"


def find_device(asked: str) -> str:
    """`asked` as torch names it: "cpu", "mps" or "cuda:N"; `auto` is the first GPU, else the CPU.

    Raises BadSetting for a device that this machine does not have, UserError for several devices.
    """
    import torch

    name = asked.strip().lower()
    if "," in name:
        raise UserError(
            f"--device {asked}: a training uses only one device; run trials in parallel with --parallel"
        )
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda:0"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cpu" or (name == "mps" and torch.backends.mps.is_available()):
        return name
    index = name.removeprefix("cuda").removeprefix(":") or "0"
    if name and index.isdigit() and int(index) < torch.cuda.device_count():
        return f"cuda:{int(index)}"
    raise BadSetting("the command line", "--device", asked, _ALLOWED)


def library_device(asked: str) -> str:
    """`asked` in Ultralytics' notation: "cpu", "mps" or a CUDA index. Raises as `find_device`."""
    return find_device(asked).removeprefix("cuda:")
