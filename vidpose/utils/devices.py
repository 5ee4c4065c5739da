"""Choice of device and precision, and the number of available cores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from vidpose.errors import UsageError


def choose_device(name: str) -> tuple[torch.device, str]:
    """`auto`, `cpu` or `cuda` -> the device and the reason for it.

    Raises:
        UsageError: the device is not available, or the name is unknown.
    """
    gpu = torch.cuda.is_available()
    if name == "auto":
        why = torch.cuda.get_device_name() if gpu else "no GPU found"
        return torch.device("cuda" if gpu else "cpu"), why
    if name == "cuda" and not gpu:
        raise UsageError("--device cuda: PyTorch finds no GPU here; use --device auto or cpu.")
    if name not in ("cpu", "cuda"):
        raise UsageError(f"--device {name}: choose auto, cpu or cuda.")
    return torch.device(name), "as given"


PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def choose_precision(name: str, device: torch.device) -> str:
    """`auto` or a key of `PRECISIONS` -> the key; auto is bf16 if the hardware supports it.

    Raises:
        UsageError: the name is unknown.
    """
    if name == "auto":
        return "bf16" if computes_in_bf16(device) else "fp32"
    if name not in PRECISIONS:
        raise UsageError(f"--precision {name}: choose auto, {' or '.join(PRECISIONS)}.")
    return name


def computes_in_bf16(device: torch.device) -> bool:
    """Whether the hardware has bf16 instructions; without them, bf16 is slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def available_cores() -> int:
    """Number of cores that this process may use, as far as the system tells; at least 1."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS or Windows
        return len(os.sched_getaffinity(0))
    count = getattr(os, "process_cpu_count", os.cpu_count)  # the first from Python 3.13 on
    return count() or 1


@contextmanager
def mixed_precision(device: torch.device, precision: str = "auto") -> Iterator[None]:
    """Autocast to the precision from `choose_precision`; works in training, too."""
    enabled = choose_precision(precision, device) == "bf16"
    with torch.autocast(device.type, torch.bfloat16) if enabled else nullcontext():
        yield
