"""Training and inference give the network the same input for the same track."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.datasets.test_dataset import make
from vidpose.datasets.virtual_cameras import Variation
from vidpose.lifting.lifter import Lifter
from vidpose.models import MODELS, Checkpoint
from vidpose.skeleton import H36M17
from vidpose.training.batches import virtual_windows
from vidpose.training.learner import build_model
from vidpose.training.recipe import MOCAP, Recipe
from vidpose.training.windows import track

FRAMES, SIZE, FOCAL_PX, FPS = 9, (1280, 720), 900.0, 30.0


def a_track() -> Tensor:
    """(F, 17, 2) rays of a person with missing joints, also the root."""
    generator = torch.Generator().manual_seed(0)
    rays = 0.1 * torch.randn(FRAMES, 17, 2, generator=generator).cumsum(dim=0) + 0.3
    for frames, joint in ((slice(2, 5), 0), (slice(0, 3), 5), (slice(7, 9), 0), (slice(4, 6), 13)):
        rays[frames, joint] = math.nan
    return rays


def fed_in_inference(model: Any, pixels: Tensor, normalisation: str) -> Tensor:
    """The input of the lifter's network for a track, without the repeated edge frames."""
    seen: list[Tensor] = []
    checkpoint = Checkpoint(model=model, normalisation=normalisation, fps=FPS, skeleton=H36M17.name)
    lifter = Lifter(checkpoint, flip=False, precision="fp32")

    class Spy:
        config, context, step = model.config, model.context, model.step

        def slide(self, inputs: Tensor) -> Tensor:
            seen.append(inputs)
            return inputs.new_zeros(len(inputs) - 2 * self.context, 17, 3)

        windows = slide

    lifter.model = Spy()
    times = np.arange(FRAMES) / FPS
    lifter(pixels.double().numpy(), times, SIZE, FOCAL_PX)
    context = model.context
    return seen[0][context : context + FRAMES]


def pixels_of(rays: Tensor) -> Tensor:
    return rays.double() * FOCAL_PX + torch.tensor([(SIZE[0] - 1) / 2, (SIZE[1] - 1) / 2])


@pytest.mark.parametrize("name", ["sequence", "poseformer", "joints"])
def test_under_virtual_cameras(name: str) -> None:
    """For networks with and without `knows_missing`."""
    rays = a_track()

    class Camera:
        device = torch.device("cpu")

        def draw(self, count: int, frames: int, *_: Any) -> tuple[Tensor, Tensor]:
            assert frames == FRAMES
            return rays.expand(count, *rays.shape), torch.zeros(count, frames, 17, 3)

    recipe = replace(
        MOCAP, model=name, frames=FRAMES, embed_dim=8, depth=1, fps=FPS, procrustes=0.0
    )
    cameras: Any = Camera()
    trained = virtual_windows(cameras, 1, recipe, Variation(), 0).inputs[0]
    model = build_model(recipe, 17)
    fed = fed_in_inference(model, pixels_of(rays), recipe.normalisation)
    missing = fed.isnan().any(dim=-1)
    assert missing.any() == MODELS[name].knows_missing
    assert not missing[:, 0].any()
    torch.testing.assert_close(trained, fed, atol=2e-5, rtol=1e-4, equal_nan=True)


@pytest.mark.parametrize("normalisation", ["screen", "person", "person-2"])
def test_on_a_dataset(normalisation: str) -> None:
    pixels = pixels_of(a_track().nan_to_num(0.25)).float()
    sequence = make(
        keypoints_2d=pixels.numpy(),
        joints_3d=np.ones((FRAMES, 17, 3), np.float32),
        valid=np.ones(FRAMES, bool),
        frame_size=SIZE,
        focal_px=FOCAL_PX,
    )
    trained = track(sequence, normalisation, H36M17).inputs
    model = build_model(Recipe(frames=FRAMES, embed_dim=8, depth=1), 17)
    fed = fed_in_inference(model, pixels, normalisation)
    torch.testing.assert_close(trained, fed, atol=2e-5, rtol=1e-4)
