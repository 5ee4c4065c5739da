from typing import Any

import pytest
import torch

from vidpose.errors import UsageError
from vidpose.models import MODELS, Checkpoint, LiftingModel, PoseFormer
from vidpose.models.transfer import transfer
from vidpose.skeleton import H36M17, HUMANEVA15, MPI_INF_3DHP, Skeleton


def network(joints: int = 17, **sizes: Any) -> PoseFormer:
    made = PoseFormer(joints=joints, **{"frames": 9, "embed_dim": 8, "depth": 1, **sizes}).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


def small(model: str, joints: int = 17, frames: int = 9) -> LiftingModel:
    """One of each network, with random weights."""
    sizes: dict[str, Any] = {"embed_dim": 8, "depth": 2, "frames": frames}
    if model == "martinez":
        sizes = {"width": 16, "depth": 1}
    elif model == "videopose":
        sizes = {"channels": 16, "frames": frames}
    made = MODELS[model](joints=joints, **sizes).eval()
    for name, tensor in made.state_dict().items():
        if tensor.is_floating_point():
            torch.nn.init.normal_(tensor, mean=float(name.endswith("running_var")), std=0.2).abs_()
    return made


def checkpoint(model: LiftingModel, skeleton: Skeleton) -> Checkpoint:
    return Checkpoint(model=model, normalisation="screen", fps=50.0, skeleton=skeleton.name)


@pytest.fixture
def source() -> Checkpoint:
    torch.manual_seed(0)
    return Checkpoint(model=network(), normalisation="screen", fps=50.0, skeleton="h36m17")


def test_the_same_network_is_copied(source: Checkpoint) -> None:
    target = network()
    told = transfer(source, target, H36M17)
    assert len(told) == 1
    for name, tensor in source.model.state_dict().items():
        assert torch.equal(target.state_dict()[name], tensor), name


def test_another_network_takes_nothing(source: Checkpoint) -> None:
    with pytest.raises(UsageError, match="no weights that fit this network, so --init-from has no"):
        transfer(source, small("martinez"), H36M17)


@pytest.mark.parametrize("model", MODELS)
def test_every_network_is_copied_to_itself(model: str) -> None:
    torch.manual_seed(0)
    source, target = small(model), small(model)
    for module in source.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            assert module.num_batches_tracked is not None
            module.num_batches_tracked.fill_(5)
    assert len(transfer(checkpoint(source, H36M17), target, H36M17)) == 1
    for name, tensor in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], tensor), name


IN_H36M = (
    *("Head", "Thorax", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist"),
    *("RHip", "RKnee", "RFoot", "LHip", "LKnee", "LFoot", "Hip", "Spine", "Neck/Nose"),
)
"""MPI-INF-3DHP's joints, by their names in Human3.6M."""


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_reordered_joints_give_the_same_poses(model: str, back: bool) -> None:
    torch.manual_seed(0)
    order = torch.tensor([H36M17.index(joint) for joint in IN_H36M])
    theirs, ours = (H36M17, MPI_INF_3DHP) if not back else (MPI_INF_3DHP, H36M17)
    order = order.argsort() if back else order
    source, target = small(model), small(model)
    told = transfer(checkpoint(source, theirs), target, ours)
    assert not any("Newly" in line for line in told)
    keypoints = torch.randn(4, source.config.frames, 17, 2)
    with torch.no_grad():
        before, after = source(keypoints), target(keypoints[:, :, order])
    torch.testing.assert_close(after, before[:, :, order], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("skeleton", [HUMANEVA15, H36M17])
@pytest.mark.parametrize("model", MODELS)
def test_every_network_declares_its_axes(model: str, skeleton: Skeleton) -> None:
    frames = 9 if model in ("martinez", "videopose") else 27  # one frame only; more layers
    target = small(model, len(skeleton), frames)
    told = transfer(checkpoint(small(model), H36M17), target, skeleton)
    assert not any("Newly" in line for line in told)


def test_tensors_with_other_axes_are_not_copied() -> None:
    """Two positional embeddings of one shape, one with and one without an axis of joints."""
    source, target = MODELS["temporal"](frames=9, embed_dim=136, depth=1), network()
    before = target.state_dict()["frame_position"].clone()
    told = transfer(checkpoint(source, H36M17), target, H36M17)
    assert "frame_position" in told[-1]
    assert torch.equal(target.state_dict()["frame_position"], before)


def test_another_number_of_frames_is_interpolated(source: Checkpoint) -> None:
    target = network(frames=27)
    told = transfer(source, target, H36M17)
    assert "frame_position" in told[1]
    old, new = source.model.state_dict(), target.state_dict()
    for name in ("frame_position", "frame_pooling.weight"):
        assert torch.allclose(new[name][:, [0, -1]], old[name][:, [0, -1]])
    assert torch.equal(new["spatial_blocks.0.mlp.0.weight"], old["spatial_blocks.0.mlp.0.weight"])


def test_a_window_of_one_frame_takes_the_centre_frame(source: Checkpoint) -> None:
    target = network(frames=1)
    transfer(source, target, H36M17)
    old, new = source.model.state_dict(), target.state_dict()
    assert torch.equal(new["frame_position"][:, 0], old["frame_position"][:, 4])


@pytest.mark.parametrize("skeleton", [HUMANEVA15, MPI_INF_3DHP])
def test_a_joint_keeps_its_channels_in_another_skeleton(
    source: Checkpoint, skeleton: Skeleton
) -> None:
    target = network(joints=len(skeleton))
    told = transfer(source, target, skeleton)
    assert not any("Newly" in line for line in told)
    old, new = source.model.state_dict(), target.state_dict()
    a, b = H36M17.index("LElbow"), skeleton.index("left_elbow")
    theirs, ours = slice(8 * a, 8 * a + 8), slice(8 * b, 8 * b + 8)
    assert torch.equal(new["joint_position"][0, b], old["joint_position"][0, a])
    assert torch.equal(new["frame_position"][0, :, ours], old["frame_position"][0, :, theirs])
    qkv = "temporal_blocks.0.attention.qkv.weight"
    for group in range(3):
        rows = new[qkv].unflatten(0, (3, -1))[group], old[qkv].unflatten(0, (3, -1))[group]
        if len(skeleton) == 17:  # then inner channels are copied as they are
            assert torch.equal(rows[0][:, ours], rows[1][:, theirs])
        else:
            assert torch.equal(rows[0][ours, ours], rows[1][theirs, theirs])
    head = "head.1.weight"
    assert torch.equal(new[head][3 * b : 3 * b + 3, ours], old[head][3 * a : 3 * a + 3, theirs])


def test_joints_that_only_the_target_has_keep_their_initial_weights() -> None:
    torch.manual_seed(0)
    small = Checkpoint(
        model=network(joints=15), normalisation="screen", fps=60.0, skeleton="humaneva15"
    )
    target = network()
    before = target.state_dict()["joint_position"].clone()
    transfer(small, target, H36M17)
    spine = H36M17.index("Spine")
    assert torch.equal(target.state_dict()["joint_position"][0, spine], before[0, spine])


@pytest.mark.parametrize("times", [2, 3])
@pytest.mark.parametrize("model", ["poseformer", "sequence", "temporal", "joints"])
def test_a_wider_network_computes_the_same_poses(model: str, times: int) -> None:
    torch.manual_seed(0)
    source = small(model)
    sizes = {**vars(source.config), "embed_dim": 8 * times}
    target = MODELS[model](**sizes).eval()
    told = transfer(checkpoint(source, H36M17), target, H36M17)
    assert told[1] == f"Widened from 8 to {8 * times} channels; the poses stay the same at first."
    assert len(told) == 2
    keypoints = torch.randn(4, 9, 17, 2)
    with torch.no_grad():
        torch.testing.assert_close(target(keypoints), source(keypoints), atol=1e-4, rtol=1e-4)


def test_the_copies_of_a_channel_learn_different_things(source: Checkpoint) -> None:
    target = network(embed_dim=16)
    transfer(source, target, H36M17)
    target(torch.randn(4, 9, 17, 2)).norm(dim=-1).mean().backward()
    for name, parameter in target.named_parameters():
        if name.endswith("mlp.0.weight"):
            assert parameter.grad is not None
            first, second = parameter.grad[0::2], parameter.grad[1::2]
            assert not torch.allclose(first, second, rtol=0.01), name


def test_tensors_that_do_not_fit_are_reported(source: Checkpoint) -> None:
    target = network(embed_dim=16, depth=2)
    told = transfer(source, target, H36M17)
    assert "Newly initialised" in told[-1]
    with torch.no_grad():
        assert target(torch.zeros(1, 9, 17, 2)).isfinite().all()
