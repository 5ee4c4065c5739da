"""Which device computes, in which type, and why."""

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


PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def choose_precision(name: str, device: torch.device) -> str:
    """`auto`, or a key of `PRECISIONS`, -> that key; auto: bf16 where the hardware computes in it.

    Raises:
        UsageError: the name means none.
    """
    if name == "auto":
        return "bf16" if computes_in_bf16(device) else "fp32"
    if name not in PRECISIONS:
        raise UsageError(f"--precision {name}: choose auto, {' or '.join(PRECISIONS)}.")
    return name


def computes_in_bf16(device: torch.device) -> bool:
    """Whether the hardware has instructions for it; without them bf16 is slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
