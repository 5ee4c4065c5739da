"""FLOP counts against formulas in the network's sizes, worked out by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from vidpose.models import MODELS, LiftingModel, PoseFormer, VideoPose, flops


def _block(tokens: int, width: int, mlp_ratio: float) -> int:
    """A transformer block: queries, keys, values and projection; the MLP; the attention. With a
    single token, only its value and the projection.
    """
    if tokens == 1:
        return round(width**2 * (2 + 2 * mlp_ratio))
    return round(tokens * width**2 * (4 + 2 * mlp_ratio)) + 2 * tokens**2 * width


def _poseformer(c: Any) -> int:
    width = c.joints * c.embed_dim
    spatial = 2 * width + c.depth * _block(c.joints, c.embed_dim, c.mlp_ratio)
    temporal = (c.temporal_depth or c.depth) * _block(c.frames, width, c.mlp_ratio)
    return c.frames * spatial + temporal + c.frames * width + width * 3 * c.joints


def _sequence(c: Any) -> int:
    """No mean over frames, and the head is for every frame."""
    width = c.joints * c.embed_dim
    return _poseformer(c) - c.frames * width + (c.frames - 1) * width * 3 * c.joints


def _temporal(c: Any) -> int:
    blocks = c.depth * _block(c.frames, c.embed_dim, c.mlp_ratio)
    return c.frames * 2 * c.joints * c.embed_dim + blocks + c.embed_dim * 3 * c.joints


def _joints(c: Any) -> int:
    width, tokens = c.joints * c.embed_dim, c.frames * c.joints
    blocks = c.depth * _block(tokens, c.embed_dim, c.mlp_ratio)
    return tokens * 2 * c.embed_dim + blocks + c.frames * width + width * 3 * c.joints


def _martinez(c: Any) -> int:
    return 5 * c.joints * c.width + 2 * c.depth * c.width**2


def _videopose(c: Any) -> int:
    """Each layer has a third of the previous one's outputs; a block has kernels of 3 and 1."""
    outputs = [c.frames // 3**layer for layer in range(1, c.layers + 1)]
    expand = 3 * 2 * c.joints * c.channels * outputs[0]
    return expand + 4 * c.channels**2 * sum(outputs[1:]) + c.channels * 3 * c.joints


MULTIPLY_ADDS: dict[str, Callable[[Any], int]] = {
    "poseformer": _poseformer,
    "sequence": _sequence,
    "temporal": _temporal,
    "joints": _joints,
    "martinez": _martinez,
    "videopose": _videopose,
}


def by_hand(model: LiftingModel) -> int:
    return 2 * MULTIPLY_ADDS[model.name](model.config)


@pytest.mark.parametrize("frames", [9, 27, 81])
@pytest.mark.parametrize("name", MODELS)
def test_counts_match_the_formulas(name: str, frames: int) -> None:
    model = MODELS[name](frames=1 if name == "martinez" else frames)
    assert flops.per_window(model) == pytest.approx(by_hand(model), rel=0.01)


@pytest.mark.parametrize("name", ["poseformer", "sequence", "temporal"])
def test_a_single_frame_needs_no_attention(name: str) -> None:
    model = MODELS[name](frames=1)
    assert flops.per_window(model) == pytest.approx(by_hand(model), rel=0.01)


@pytest.mark.parametrize(("frames", "million"), [(9, 91.3), (27, 276.0), (81, 846.9)])
def test_poseformer_by_hand(frames: int, million: float) -> None:
    """Multiply-adds: 4 + 2 * 2 squares of the width for a token, 2 widths for a pair of tokens."""
    spatial = 17 * 2 * 32 + 4 * (17 * 8 * 32**2 + 2 * 17**2 * 32)
    temporal = 4 * (frames * 8 * 544**2 + 2 * frames**2 * 544)
    expected = frames * spatial + temporal + frames * 544 + 544 * 51
    assert round(expected / 1e6, 1) == million
    assert flops.per_window(PoseFormer(frames=frames)) == pytest.approx(2 * expected, rel=0.01)


def test_other_depths_and_widths() -> None:
    model = PoseFormer(frames=9, embed_dim=16, depth=2, temporal_depth=3, mlp_ratio=3.0, joints=15)
    assert flops.per_window(model) == pytest.approx(by_hand(model), rel=0.01)


def test_attention_over_all_joints_of_all_frames_grows_quadratically() -> None:
    """With twice the frames, PoseFormer's cost doubles; that of F * J tokens quadruples."""
    costs = {
        name: [flops.per_window(MODELS[name](frames=f)) for f in (81, 163)]
        for name in ("poseformer", "joints")
    }
    assert costs["poseformer"][1] / costs["poseformer"][0] < 2.2
    assert costs["joints"][1] / costs["joints"][0] > 3.8


def test_sliding_windows_share_work() -> None:
    """VideoPose3D's paper: 33.87 million operations a frame at 243 frames."""
    model = VideoPose(frames=243)
    assert flops.per_frame(model, 100_000) == pytest.approx(33.87e6, rel=0.01)
    assert flops.per_frame(model) < flops.per_window(model) / 5
    assert flops.per_frame(model, 1) > flops.per_window(model)


def test_parameters() -> None:
    assert flops.parameters(PoseFormer(frames=9)) == 9_558_740 + 545 * 9


@pytest.mark.parametrize(("frames", "million"), [(9, 150), (27, 452), (81, 1358)])
def test_the_papers_count(frames: int, million: int) -> None:
    assert flops.papers_formula(frames) // 10**6 == million
