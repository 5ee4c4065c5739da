"""The common interface of all networks, and the particulars of each."""

from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vidpose.models import (
    MODELS,
    Checkpoint,
    JointTransformer,
    LiftingModel,
    Martinez,
    PoseFormer,
    TemporalTransformer,
    VideoPose,
    load_checkpoint,
    save_checkpoint,
)
from vidpose.models.martinez import BoundedLinear
from vidpose.models.sliding import sliding_form

SMALL: dict[str, dict[str, Any]] = {
    "poseformer": {"frames": 9, "embed_dim": 8, "depth": 1},
    "sequence": {"frames": 9, "embed_dim": 8, "depth": 1, "stride": 2},
    "temporal": {"frames": 9, "embed_dim": 16, "depth": 1},
    "joints": {"frames": 9, "embed_dim": 8, "depth": 1},
    "martinez": {"width": 16},
    "videopose": {"frames": 27, "channels": 16},
}


def small(name: str, **changes: Any) -> Any:
    """A small network in eval mode, with non-trivial weights and statistics throughout."""
    torch.manual_seed(0)
    model: LiftingModel = MODELS[name](**SMALL[name] | changes).eval()
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            with torch.no_grad():
                tensor.add_((torch.rand_like(tensor) - 0.5) / 5)
    return model


def test_every_network_is_tested() -> None:
    assert SMALL.keys() == MODELS.keys()


@pytest.mark.parametrize("name", MODELS)
def test_a_network_is_called_with_its_sizes(name: str) -> None:
    kind = MODELS[name]
    assert list(signature(kind).parameters)[:2] == ["frames", "joints"]
    frames = SMALL[name].get("frames", 1)
    sizes = SMALL[name] | {"frames": frames}
    given = {key: size for key, size in sizes.items() if key != "frames"}
    assert kind(frames, 15, **given).config == kind(joints=15, **sizes).config
    with pytest.raises(TypeError, match="unexpected keyword argument 'size'"):
        kind(size=3)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("joints", [15, 17])
def test_output_shapes(name: str, joints: int) -> None:
    model = small(name, joints=joints)
    windows = torch.randn(4, model.config.frames, joints, 2)
    poses = model(windows)
    assert poses.shape == (4, model.config.frames if model.all_frames else 1, joints, 3)
    torch.testing.assert_close(poses[2:3], model(windows[2:3]))  # independent of the batch
    with pytest.raises(ValueError, match=f"expected windows of {model.config.frames} frames"):
        model(torch.randn(4, model.config.frames + 2, joints, 2))


@pytest.mark.parametrize("name", [n for n in MODELS if not MODELS[n].all_frames])
def test_sliding_gives_what_each_window_gives(name: str) -> None:
    model = small(name)
    stretch = torch.randn(model.config.frames + 7, 17, 2)
    poses = [model(stretch[t : t + model.config.frames][None])[0, 0] for t in range(8)]
    torch.testing.assert_close(model.slide(stretch), torch.stack(poses))


@pytest.mark.parametrize("name", MODELS)
def test_every_frame_and_joint_affects_the_pose(name: str) -> None:
    model = small(name)
    windows = torch.randn(16, model.config.frames, 17, 2, requires_grad=True)
    model(windows)[:, 0, 3].sum().backward()
    assert windows.grad is not None
    assert (windows.grad.abs().sum(dim=(0, 3)) > 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_checkpoints_hold_every_network(name: str, tmp_path: Path) -> None:
    model = small(name)
    checkpoint = Checkpoint(model=model, normalisation="screen", fps=50.0, skeleton="h36m17")
    save_checkpoint(tmp_path / "a.safetensors", checkpoint)
    again = load_checkpoint(tmp_path / "a.safetensors").model
    assert type(again) is type(model)
    assert again.config == model.config
    windows = torch.randn(2, model.config.frames, 17, 2)
    torch.testing.assert_close(again(windows), model(windows))
    torch.testing.assert_close(again.state_dict(), model.state_dict(), rtol=0, atol=0)
    again.train()(windows).sum().backward()  # and it can be trained further


@pytest.mark.parametrize("name", MODELS)
@torch.inference_mode()
def test_missing_joints_are_at_the_root_or_distinguished(name: str) -> None:
    model = small(name)
    window = torch.randn(1, model.config.frames, 17, 2)
    window[:, 0, 3] = 0
    on_root = model(window)
    window[:, 0, 3] = torch.nan
    missing = model(window)
    assert missing.isfinite().all()
    assert torch.equal(missing, on_root) == (not model.knows_missing)
    assert sliding_form(model).slide(window[0].repeat(3, 1, 1)).isfinite().all()


def test_ablations_are_kept_by_checkpoints(tmp_path: Path) -> None:
    model = PoseFormer(frames=9, embed_dim=8, depth=1, temporal_depth=2, joint_positions=False)
    checkpoint = Checkpoint(model=model, normalisation="screen", fps=50.0, skeleton="h36m17")
    save_checkpoint(tmp_path / "a.safetensors", checkpoint)
    again = load_checkpoint(tmp_path / "a.safetensors").model
    assert again.config == model.config
    assert dict(again.named_parameters()).keys() == dict(model.named_parameters()).keys()


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("temporal", {"frames": 8}, "expected an odd number"),
        ("temporal", {"embed_dim": 20}, "is not a multiple of the 8 attention heads"),
        ("sequence", {"stride": 0}, "stride: expected a positive whole number, got 0"),
        ("joints", {"depth": 0}, "depth: expected a positive whole number, got 0"),
        ("joints", {"drop_path": 1.0}, "drop_path: expected 0 to below 1, got 1.0"),
        ("martinez", {"frames": 9}, "lifts single frames, so 1; got 9"),
        ("martinez", {"dropout": -0.1}, "dropout: expected 0 to below 1"),
        ("videopose", {"frames": 9.5}, "frames: expected a positive whole number"),
        ("videopose", {"frames": 25}, "frames: expected a power of 3, got 25"),
        ("videopose", {"frames": 1}, "frames: expected a power of 3, got 1"),
    ],
)
def test_impossible_sizes_are_rejected(name: str, sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MODELS[name](**sizes)


@pytest.mark.parametrize("frames", [1, 3, 9, 27, 81, 243])
def test_videopose_of_any_receptive_field(frames: int) -> None:
    if frames > 1:
        model = VideoPose(frames=frames, channels=8)
        assert len(model.blocks) == {3: 0, 9: 1, 27: 2, 81: 3, 243: 4}[frames]
        assert model.eval()(torch.randn(1, frames, 17, 2)).shape == (1, 1, 17, 3)


def transformer_blocks(depth: int, width: int) -> int:
    """Parameters by hand: queries, keys, values and projection; the MLP; two norms."""
    attention = 4 * (width * width + width)
    mlp = width * 2 * width + 2 * width + 2 * width * width + width
    return depth * (attention + mlp + 2 * 2 * width)


HEAD = 2 * 544 + 544 * 51 + 51


@pytest.mark.parametrize("f", [9, 27, 81])
def test_parameters_of_the_transformers_by_hand(f: int) -> None:
    spatial = 2 * 32 + 32 + 17 * 32 + transformer_blocks(4, 32) + 2 * 32
    temporal = f * 544 + transformer_blocks(4, 544) + 2 * 544
    pooling = f + 1
    assert count(PoseFormer(frames=f)) == spatial + temporal + pooling + HEAD
    assert count(PoseFormer(frames=f)) == 9_558_740 + 545 * f
    assert count(TemporalTransformer(frames=f)) == 34 * 544 + 544 + temporal + HEAD
    tokens = f * 17 * 32
    assert count(JointTransformer(frames=f)) == (
        2 * 32 + 32 + tokens + transformer_blocks(4, 32) + 2 * 32 + pooling + HEAD
    )
    ablated = PoseFormer(frames=f, joint_positions=False, frame_positions=False)
    assert count(ablated) == count(PoseFormer(frames=f)) - 17 * 32 - f * 544


def test_parameters_of_martinez_by_hand() -> None:
    layers = (34 * 1024 + 1024) + 4 * (1024 * 1024 + 1024) + (1024 * 51 + 51)
    assert count(Martinez()) == layers + 5 * 2 * 1024


@pytest.mark.parametrize(("f", "blocks"), [(27, 2), (81, 3), (243, 4)])
def test_parameters_of_videopose_by_hand(f: int, blocks: int) -> None:
    """The paper has 8.56, 12.75 and 16.95 million."""
    convolutions = 3 * 34 * 1024 + blocks * (3 * 1024**2 + 1024**2) + 1024 * 51 + 51
    assert count(VideoPose(frames=f)) == convolutions + (1 + 2 * blocks) * 2 * 1024
    assert round(count(VideoPose(frames=f)) / 1e6, 2) == {27: 8.56, 81: 12.75, 243: 16.95}[f]


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_temporal_takes_the_mean_of_its_frames() -> None:
    model = small("temporal")
    windows = torch.randn(2, 9, 17, 2)
    x = model.pose_embedding(windows.reshape(2, 9, 34)) + model.frame_position
    for block in model.blocks:
        x = block(x)
    mean = sum(model.norm(x)[:, t] for t in range(9)) / 9
    torch.testing.assert_close(model(windows)[:, 0], model.head(mean).reshape(2, 17, 3))


def test_joints_of_all_frames_attend_to_each_other() -> None:
    model = small("joints")
    windows = torch.randn(2, 9, 17, 2)
    tokens: list[Tensor] = [
        model.joint_embedding(windows[:, t, j]) for t in range(9) for j in range(17)
    ]
    maps: list[Tensor] = []
    x = model.norm(model.blocks(torch.stack(tokens, dim=1) + model.position, maps))
    assert maps[0].shape == (2, 8, 9 * 17, 9 * 17)
    weights = model.frame_pooling.weight[0, :, 0]
    pooled = sum(w * x[:, 17 * t : 17 * (t + 1)] for t, w in enumerate(weights))
    pose = model.head((pooled + model.frame_pooling.bias).flatten(1)).reshape(2, 17, 3)
    torch.testing.assert_close(model(windows)[:, 0], pose)


def test_weights_of_martinez_are_bounded() -> None:
    layer = BoundedLinear(3, 2)
    x = torch.randn(5, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]]))
        torch.testing.assert_close(layer(x) - layer.bias, x[:, :2] * torch.tensor([0.6, 0.8]))
        layer.weight.mul_(0.1)
        torch.testing.assert_close(layer(x) - layer.bias, x[:, :2] * torch.tensor([0.3, 0.4]))


def test_martinez_blocks_are_residual() -> None:
    model = small("martinez")
    pose = torch.randn(4, 1, 17, 2)
    x = model.widen(pose.flatten(1))
    for first, second in model.blocks:
        x = x + second(first(x))
    torch.testing.assert_close(model(pose).flatten(1), model.head(x))


def test_videopose_has_the_same_gradient_strided_and_dilated() -> None:
    """The outputs that the strided `forward` skips do not change the gradient."""
    model = small("videopose")
    window = torch.randn(27, 17, 2)
    gradients = []
    for pose in (model(window[None])[0, 0], model.slide(window)[0]):
        model.zero_grad()
        pose.square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1])
