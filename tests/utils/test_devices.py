from __future__ import annotations

import os
from contextlib import nullcontext
from typing import Any

import pytest
import torch

from vidpose.errors import UsageError
from vidpose.utils import devices
from vidpose.utils.devices import available_cores, choose_device, choose_precision, mixed_precision

CPU = torch.device("cpu")


def test_device_is_refused_if_it_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == (CPU, "no GPU found")
    assert choose_device("cpu") == (CPU, "as given")
    with pytest.raises(UsageError, match="finds no GPU here"):
        choose_device("cuda")
    with pytest.raises(UsageError, match="choose auto, cpu or cuda"):
        choose_device("tpu")


@pytest.mark.parametrize(("able", "chosen"), [(True, "bf16"), (False, "fp32")])
def test_auto_is_bf16_where_the_hardware_computes_in_it(
    able: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "computes_in_bf16", lambda device: able)
    assert choose_precision("auto", CPU) == chosen
    assert choose_precision("fp32", CPU) == "fp32"
    assert choose_precision("bf16", CPU) == "bf16"
    with pytest.raises(UsageError, match="--precision half: choose auto, fp32 or bf16"):
        choose_precision("half", CPU)


def test_computes_in_bf16_goes_by_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for has in (False, True):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has=has: has)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        assert devices.computes_in_bf16(CPU) is has


def test_cores_without_an_affinity_are_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS."""
    if hasattr(os, "sched_getaffinity"):
        assert available_cores() == len(os.sched_getaffinity(0))
        monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.delattr(os, "process_cpu_count", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert available_cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1
    monkeypatch.setattr(os, "process_cpu_count", lambda: 4, raising=False)
    assert available_cores() == 4


@pytest.mark.parametrize(
    ("device", "precision", "entered"),
    [
        ("cpu", "fp32", []),
        ("cpu", "bf16", [("cpu", torch.bfloat16)]),
        ("cuda", "fp32", []),
        ("cuda", "bf16", [("cuda", torch.bfloat16)]),
    ],
)
def test_mixed_precision_by_device(
    device: str, precision: str, entered: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def autocast(*how: Any) -> nullcontext[None]:
        seen.append(how)
        return nullcontext()

    monkeypatch.setattr(torch, "autocast", autocast)
    with mixed_precision(torch.device(device), precision):
        assert seen == entered


@pytest.mark.parametrize("able", [True, False])
def test_auto_on_a_gpu_asks_the_gpu(able: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def supported(including_emulation: bool) -> bool:
        assert not including_emulation
        return able

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert choose_precision("auto", torch.device("cuda")) == ("bf16" if able else "fp32")
