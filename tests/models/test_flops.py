import pytest

from vidpose.models import MODELS, PoseFormer, VideoPose, flops


@pytest.mark.parametrize("frames", [9, 27, 81])
@pytest.mark.parametrize("name", MODELS)
def test_the_formula_is_what_is_counted(name: str, frames: int) -> None:
    model = MODELS[name](frames=1 if name == "martinez" else frames)
    assert flops.formula(model) == pytest.approx(flops.per_window(model), rel=0.01)


@pytest.mark.parametrize("name", ["poseformer", "sequence", "temporal"])
def test_a_lone_frame_has_nobody_to_look_at(name: str) -> None:
    model = MODELS[name](frames=1)
    assert flops.formula(model) == pytest.approx(flops.per_window(model), rel=0.01)


@pytest.mark.parametrize(("frames", "million"), [(9, 91.3), (27, 276.0), (81, 846.9)])
def test_poseformer_by_hand(frames: int, million: float) -> None:
    """Multiply-adds: 4 + 2 * 2 squares of the width for a token, 2 widths for a pair of tokens."""
    spatial = 17 * 2 * 32 + 4 * (17 * 8 * 32**2 + 2 * 17**2 * 32)
    temporal = 4 * (frames * 8 * 544**2 + 2 * frames**2 * 544)
    by_hand = frames * spatial + temporal + frames * 544 + 544 * 51
    assert round(by_hand / 1e6, 1) == million
    assert flops.per_window(PoseFormer(frames=frames)) == pytest.approx(2 * by_hand, rel=0.01)


def test_other_depths_and_widths() -> None:
    model = PoseFormer(frames=9, embed_dim=16, depth=2, temporal_depth=3, mlp_ratio=3.0, joints=15)
    assert flops.formula(model) == pytest.approx(flops.per_window(model), rel=0.01)


def test_all_joints_of_all_frames_cost_more_and_more() -> None:
    """Twice the frames: PoseFormer's cost about doubles, that of f x J tokens goes up fourfold."""
    costs = {
        name: [flops.formula(MODELS[name](frames=f)) for f in (81, 163)]
        for name in ("poseformer", "joints")
    }
    assert costs["poseformer"][1] / costs["poseformer"][0] < 2.2
    assert costs["joints"][1] / costs["joints"][0] > 3.8


def test_a_stretch_shares_what_its_windows_share() -> None:
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
