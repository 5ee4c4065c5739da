from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.render.people import walk
from vidpose.models import (
    LiftingModel,
    PoseFormer,
    SequencePoseFormer,
    VideoPose,
    load_checkpoint,
)
from vidpose.models import sliding as sliding_module
from vidpose.models.normalisation import NORMALISATIONS
from vidpose.models.poseformer import PoseFormerConfig
from vidpose.models.sliding import sliding_form

WEIGHTS = Path(__file__).parents[2] / "weights"


def random_poseformer(**sizes: Any) -> PoseFormer:
    """A PoseFormer with random parameters, including those initialised to 0 or 1."""
    torch.manual_seed(0)
    model = PoseFormer(**sizes).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def each_window(model: LiftingModel, keypoints: Tensor) -> Tensor:
    """Reference: run the whole network on every window."""
    frames = model.config.frames
    windows = [keypoints[t : t + frames] for t in range(len(keypoints) - frames + 1)]
    with torch.no_grad():
        return torch.cat([model(window[None])[:, 0] for window in windows])


@pytest.mark.parametrize(
    "sizes",
    [
        {"frames": 81},
        {"frames": 9, "embed_dim": 16, "heads": 4, "depth": 2, "mlp_ratio": 1.5},
        {"frames": 3, "embed_dim": 8, "depth": 1},
        {"frames": 3, "embed_dim": 8, "temporal_depth": 2, "frame_positions": False},
        {"frames": 1, "joints": 5, "embed_dim": 8, "depth": 2},
    ],
)
@torch.inference_mode()
def test_fp32_equals_every_window_by_itself(sizes: dict[str, Any]) -> None:
    model = random_poseformer(**sizes)
    keypoints = torch.randn(model.config.frames + 4, model.config.joints, 2)
    found = sliding_form(model).slide(keypoints)
    torch.testing.assert_close(found, each_window(model, keypoints), atol=3e-5, rtol=1e-5)


@torch.inference_mode()
def test_bf16_is_within_a_millimetre_with_weights_in_use() -> None:
    """On average, for a walking person detected with 2 px of noise."""
    checkpoint = load_checkpoint(WEIGHTS / "default.safetensors")
    people = walk(frames=300)
    errors_px = np.random.default_rng(0).normal(0, 2, people.keypoints_2d[0].shape)
    pixels = torch.from_numpy(people.keypoints_2d[0] + errors_px).float()
    normalise = NORMALISATIONS[checkpoint.normalisation]
    keypoints, _ = normalise(pixels, people.frame_size, float(max(people.frame_size)))
    model = checkpoint.model
    found = sliding_form(model, torch.bfloat16).slide(keypoints)
    assert found.dtype == torch.float32
    errors = torch.linalg.norm(found - model.slide(keypoints), dim=-1)
    assert 0 < errors.mean() < 1e-3


@torch.inference_mode()
def test_poses_do_not_depend_on_the_batch_size(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_poseformer(frames=9, embed_dim=8, depth=2)
    keypoints = torch.randn(30, 17, 2)
    once = sliding_form(model).slide(keypoints)
    monkeypatch.setattr(sliding_module, "STEP_BYTES_PER_THREAD", 20_000)
    one_by_one = sliding_form(model).slide(keypoints)
    torch.testing.assert_close(one_by_one, once, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.inference_mode()
def test_machines_without_onednn(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_poseformer(frames=9, embed_dim=8, depth=2)
    keypoints = torch.randn(12, 17, 2)
    expected = sliding_form(model, dtype).slide(keypoints)
    monkeypatch.setattr(sliding_module, "_onednn_computes", lambda weight: False)
    atol = 1e-5 if dtype == torch.float32 else 0.02
    torch.testing.assert_close(
        sliding_form(model, dtype).slide(keypoints), expected, atol=atol, rtol=0
    )


@torch.inference_mode()
def test_the_network_itself_is_left_as_it_was() -> None:
    model = random_poseformer(frames=3, embed_dim=8, depth=1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    keypoints = torch.randn(5, 17, 2)
    sliding_form(model, torch.bfloat16).slide(keypoints)
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, before[name])


class Linear(LiftingModel):
    """A network without an optimised sliding form."""

    name = "linear"

    def __init__(self) -> None:
        super().__init__()
        self.config = PoseFormerConfig(frames=3)
        self.layer = torch.nn.Linear(3 * 17 * 2, 17 * 3)

    def forward(self, keypoints: Tensor) -> Tensor:
        return self.layer(keypoints.flatten(1)).view(-1, 1, 17, 3)


@torch.inference_mode()
def test_any_network_has_a_sliding_form() -> None:
    model = Linear().eval()
    keypoints = torch.randn(7, 17, 2)
    expected = each_window(model, keypoints)
    torch.testing.assert_close(sliding_form(model).slide(keypoints), expected)
    half = sliding_form(model, torch.bfloat16).slide(keypoints)
    assert half.dtype == torch.float32
    assert 0 < (half - expected).abs().max() < 0.02


@pytest.mark.parametrize(
    "model",
    [
        random_poseformer(frames=9, embed_dim=8, depth=1),
        SequencePoseFormer(frames=9, embed_dim=8, depth=2).eval(),
        VideoPose(frames=9, channels=8).eval(),
    ],
    ids=lambda model: model.name,
)
@torch.inference_mode()
def test_single_windows_give_what_the_network_gives(model: LiftingModel) -> None:
    windows = torch.randn(3, 9, 17, 2)
    found = sliding_form(model).windows(windows)
    torch.testing.assert_close(found, model(windows), atol=3e-5, rtol=1e-5)
    torch.testing.assert_close(found, model.windows(windows), atol=3e-5, rtol=1e-5)
