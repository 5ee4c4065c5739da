from __future__ import annotations

import pytest
import torch

from vidpose.errors import UsageError
from vidpose.utils import devices
from vidpose.utils.devices import choose_device, choose_precision

CPU = torch.device("cpu")


def test_device_is_refused_if_it_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == (CPU, "no GPU found")
    assert choose_device("cpu") == (CPU, "as asked")
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
