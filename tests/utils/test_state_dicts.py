from __future__ import annotations

import pytest
import torch
from torch import nn

from vidpose.errors import WeightsError
from vidpose.utils.state_dicts import load_strictly


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floating_point_numbers_of_any_width_are_loaded(dtype: torch.dtype) -> None:
    network = nn.Linear(2, 3)
    load_strictly(network, {"weight": torch.ones(3, 2, dtype=dtype), "bias": torch.ones(3)}, "x")
    assert network.weight.dtype == torch.float32
    assert bool((network.weight == 1).all())


@pytest.mark.parametrize("dtype", [torch.bool, torch.int8, torch.int64, torch.float8_e4m3fn])
def test_other_types_are_refused(dtype: torch.dtype) -> None:
    tensors = {"weight": torch.ones(3, 2).to(dtype), "bias": torch.ones(3)}
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(WeightsError, match=rf"F is no network: weight holds {name} where floating"):
        load_strictly(nn.Linear(2, 3), tensors, "F is no network")
