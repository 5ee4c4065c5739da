from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from vidpose.errors import UsageError
from vidpose.models import Martinez
from vidpose.training import optimizers
from vidpose.training.learner import build_model
from vidpose.training.optimizers import ADAMW_RMS, MOMENTUM, Muon, optimizers_for, orthogonal
from vidpose.training.recipe import Recipe

TINY = Recipe(frames=3, embed_dim=8, depth=2, optimizer="muon", weight_decay=0.1, lr=1e-2)


@pytest.mark.parametrize("shape", [(40, 40), (80, 40), (40, 80)])
def test_singular_values_are_brought_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(3, *shape) * torch.tensor([1e-4, 1.0, 1e4])[:, None, None]
    matrices[:, 7] = 0
    steps = orthogonal(matrices)
    assert not steps[:, 7].any()
    for matrix, step in zip(matrices, steps, strict=True):
        u, values, vt = torch.linalg.svd(matrix, full_matrices=False)
        ours = torch.linalg.svdvals(step)
        there = values > 0.05 * values.max()
        assert there.sum() >= 30
        assert (ours[there] > 0.6).all()
        assert ours.max() < 1.25
        turned = (u.mT @ step @ vt.mT)[there][:, there]
        torch.testing.assert_close(turned, torch.diag(turned.diag()), atol=1e-3, rtol=0)


def test_in_bf16_a_step_is_nearly_the_same() -> None:
    torch.manual_seed(0)
    matrices = torch.randn(2, 40, 30)
    exact, quick = orthogonal(matrices), orthogonal(matrices, torch.bfloat16)
    assert quick.dtype == torch.float32
    assert 0 < float((quick - exact).norm() / exact.norm()) < 0.05


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp32", None)])
def test_muon_computes_in_the_precision_of_the_run(
    precision: str, dtype: torch.dtype | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that started in fp32, or before this option existed, continues in fp32."""
    seen: list[torch.dtype] = []

    def spy(matrices: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        seen.append(dtype)
        return matrices

    monkeypatch.setattr(optimizers, "orthogonal", spy)
    weights = torch.nn.Parameter(torch.randn(6, 4))
    weights.grad = torch.randn(6, 4)
    model: Any = build_model(TINY, 17)
    muon = optimizers_for(model, replace(TINY, precision=precision))[0]
    assert {group["bf16"] for group in muon.param_groups} == {precision == "bf16"}
    fresh = Muon([{"params": [weights]}], lr=0.1, bf16=precision == "bf16")
    fresh.step()
    assert set(seen) == {dtype or torch.float32}
    state = fresh.state_dict()
    for stored, wanted in ((None, False), (False, False), (True, precision == "bf16")):
        for group in state["param_groups"]:
            group.pop("bf16", None)
            if stored is not None:
                group["bf16"] = stored
        fresh.load_state_dict(state)
        assert [group["bf16"] for group in fresh.param_groups] == [wanted]


def test_a_zero_gradient_is_no_step() -> None:
    assert not orthogonal(torch.zeros(1, 4, 8)).any()


def test_a_step_of_muon() -> None:
    """The first momentum is a twentieth of the gradient; Nesterov's look-ahead is added."""
    torch.manual_seed(0)
    weights = torch.nn.Parameter(torch.randn(6, 4))
    start, weights.grad = weights.detach().clone(), torch.randn(6, 4)
    Muon([{"params": [weights], "weight_decay": 0.5}], lr=0.1).step()
    ahead = weights.grad * (1 - MOMENTUM) * (1 + MOMENTUM)
    wanted = start * (1 - 0.1 * 0.5) - 0.1 * ADAMW_RMS * 6**0.5 * orthogonal(ahead[None])[0]
    torch.testing.assert_close(weights.detach(), wanted)


def test_queries_keys_and_values_are_separate_matrices() -> None:
    torch.manual_seed(0)
    together = torch.nn.Parameter(torch.zeros(12, 4))
    together.grad = torch.randn(12, 4)
    together.grad[4:8] = 0  # as of keys that nobody looked at
    Muon([{"params": [together], "parts": 3}], lr=1.0).step()
    assert not together[4:8].any()
    for part in (together[:4], together[8:]):
        assert torch.linalg.svdvals(part.detach() / (ADAMW_RMS * 2)).max() < 1.25


@pytest.mark.parametrize("name", ["poseformer", "sequence", "joints", "temporal"])
def test_every_parameter_has_one_optimizer(name: str) -> None:
    model: Any = build_model(replace(TINY, model=name), 17)
    muon, adamw = optimizers_for(model, TINY)
    parts = [
        [parameter for group in some.param_groups for parameter in group["params"]]
        for some in (muon, adamw)
    ]
    assert sorted(map(id, parts[0] + parts[1])) == sorted(map(id, model.parameters()))
    split = [len(group["params"]) for group in muon.param_groups if group["parts"] == 3]
    assert sum(split) == sum(name.endswith("qkv.weight") for name, _ in model.named_parameters())
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert all("blocks." in names[id(parameter)] for parameter in parts[0])
    matrices = sum("blocks." in name and name.endswith("weight") for name in names.values())
    norms = sum(".norm" in name and name.endswith("weight") for name in names.values())
    assert len(parts[0]) == matrices - norms > 0
    (alone,) = optimizers_for(model, replace(TINY, optimizer="adamw"))
    assert len(alone.param_groups[0]["params"]) == len(names)


def test_other_networks_use_adamw_only() -> None:
    model = Martinez(width=8)
    (adamw,) = optimizers_for(model, TINY)
    assert len(adamw.param_groups[0]["params"]) == len(list(model.parameters()))


def test_unknown_optimizers_are_rejected() -> None:
    with pytest.raises(UsageError, match="--optimizer sgd: choose adamw, muon"):
        replace(TINY, optimizer="sgd")
