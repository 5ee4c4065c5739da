"""Which device computes, and why."""

from __future__ import annotations

import torch

from vidpose.errors import UsageError


def choose_device(name: str) -> tuple[torch.device, str]:
    """`auto`, `cpu` or `cuda` -> the device and the reason for it.

    Raises:
        UsageError: the device is not there, or the name means none.
    """
    gpu = torch.cuda.is_available()
    if name == "auto":
        why = torch.cuda.get_device_name() if gpu else "no GPU found"
        return torch.device("cuda" if gpu else "cpu"), why
    if name == "cuda" and not gpu:
        raise UsageError("--device cuda: PyTorch finds no GPU here; use --device auto or cpu.")
    if name not in ("cpu", "cuda"):
        raise UsageError(f"--device {name}: choose auto, cpu or cuda.")
    return torch.device(name), "as asked"
