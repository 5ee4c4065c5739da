from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tests.models.test_models import small
from vidpose.lifting.sliding_window import slide
from vidpose.models import SequencePoseFormer
from vidpose.models import sliding as sliding_module
from vidpose.models.sliding import sliding_form
from vidpose.skeleton import H36M17

STRIDES = [1, 2, 4, 9, 12]


def of_all_windows(model: SequencePoseFormer, stretch: Tensor) -> Tensor:
    """Reference: lift window by window, then take the weighted mean for each frame."""
    frames, context = model.config.frames, model.context
    stride = min(model.config.stride, frames)
    said: list[list[tuple[float, Tensor]]] = [[] for _ in stretch]
    for start in range(0, len(stretch) - frames + 1, stride):
        poses = model(stretch[start : start + frames][None])[0]
        for slot, pose in enumerate(poses):
            said[start + slot].append((math.sin(math.pi * (slot + 0.5) / frames) ** 2, pose))
    means = [
        sum(weight * pose for weight, pose in some) / sum(weight for weight, _ in some)
        for some in said[context : len(stretch) - context]
    ]
    return torch.stack([torch.as_tensor(mean) for mean in means])


@pytest.mark.parametrize("stride", STRIDES)
@torch.inference_mode()
def test_overlapping_windows_are_averaged(stride: int) -> None:
    model = small("sequence", stride=stride)
    stretch = torch.randn(13 + 2 * model.context, 17, 2)
    expected = of_all_windows(model, stretch)
    assert expected.shape == (13, 17, 3)
    torch.testing.assert_close(model.slide(stretch), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(sliding_form(model).slide(stretch), expected, atol=1e-5, rtol=0)
    half = sliding_form(model, torch.bfloat16).slide(stretch)
    assert half.dtype == torch.float32
    assert 0 < (half - expected).abs().mean() < 0.01


@torch.inference_mode()
def test_parts_of_a_track_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small("sequence", stride=4)
    track = torch.randn(70, 17, 2)
    mirrored = torch.from_numpy(H36M17.mirrored)
    whole = slide(model, track, mirrored).poses
    ready = sliding_form(model)
    parts = [
        slide(ready, track, mirrored, first, min(first + 16, 70)).poses
        for first in range(0, 70, 16)
    ]
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-5, rtol=0)
    monkeypatch.setattr(sliding_module, "STEP_BYTES_PER_THREAD", 20_000)  # few windows at a time
    torch.testing.assert_close(
        slide(sliding_form(model), track, mirrored).poses, whole, atol=1e-5, rtol=0
    )


def test_a_missing_joint_has_a_token_of_its_own() -> None:
    model = small("sequence")
    window = torch.randn(1, 9, 17, 2)
    window[0, 2:5, 3] = math.nan
    pose = model(window)
    assert pose.isfinite().all()
    window[0, 2:5, 3, 0] = 1.0  # half a joint is none
    torch.testing.assert_close(model(window), pose)
    window[0, 2:5, 3, 1] = 0.0
    assert (model(window) - pose).abs().max() > 1e-3
    pose.sum().backward()
    assert model.missing_joint.grad is not None
    learned = model.missing_joint.grad.abs().sum(dim=(0, 2))
    assert (learned > 0).tolist() == [joint == 3 for joint in range(17)]


@pytest.mark.parametrize("frames", [1, 4, 5])
@torch.inference_mode()
def test_a_shorter_window_has_the_middle_places(frames: int) -> None:
    model = small("sequence")
    places = model.frame_position.clone()
    window = torch.randn(2, frames, 17, 2)
    pose = model(window)
    assert pose.shape == (2, frames, 17, 3)
    first = (9 - frames) // 2
    model.frame_position[:, :first] = model.frame_position[:, first + frames :] = 7
    torch.testing.assert_close(model(window), pose)
    model.frame_position.copy_(places)[:, first, ::2] += 1
    assert (model(window) - pose).abs().max() > 1e-3
    # With maps a lone frame, too, goes through the whole attention.
    torch.testing.assert_close(model.forward_with_attention(window).pose, model(window))
    with pytest.raises(ValueError, match="got 0 and 17"):
        model(window[:, :0])


def test_blocks_are_the_papers() -> None:
    """Everything except pooling and the missing joints' token is in the paper's network, too."""
    ours, papers = small("sequence"), small("poseformer")
    papers.load_state_dict(ours.state_dict(), strict=False)
    extra = ours.state_dict().keys() ^ papers.state_dict().keys()
    assert extra == {"missing_joint", "frame_pooling.weight", "frame_pooling.bias"}
    with torch.no_grad():
        papers.frame_pooling.weight.zero_()[0, 6] = 1
        papers.frame_pooling.bias.zero_()
        window = torch.randn(3, 9, 17, 2)
        torch.testing.assert_close(papers(window)[:, 0], ours(window)[:, 6])


@pytest.mark.parametrize("frames", [27, 81])
def test_parameters_by_hand(frames: int) -> None:
    """The paper's 9,558,740 + 545 f, no weights of a mean, and a token of 32 for each joint."""
    model = SequencePoseFormer(frames=frames)
    expected = 9_558_740 + 545 * frames - (frames + 1) + 17 * 32
    assert sum(parameter.numel() for parameter in model.parameters()) == expected
