from typing import Any

import pytest
import torch

from vidpose.models import Checkpoint, PoseFormer
from vidpose.models.transfer import transfer
from vidpose.skeleton import H36M17, HUMANEVA15, MPI_INF_3DHP, Skeleton


def network(joints: int = 17, **sizes: Any) -> PoseFormer:
    made = PoseFormer(joints=joints, **{"frames": 9, "embed_dim": 8, "depth": 1, **sizes}).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return made


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


def test_another_number_of_frames_is_interpolated(source: Checkpoint) -> None:
    target = network(frames=27)
    told = transfer(source, target, H36M17)
    assert "frame_position" in told[1]
    old, new = source.model.state_dict(), target.state_dict()
    for name in ("frame_position", "frame_pooling.weight"):
        assert torch.allclose(new[name][:, [0, -1]], old[name][:, [0, -1]])
    assert torch.equal(new["spatial_blocks.0.mlp.0.weight"], old["spatial_blocks.0.mlp.0.weight"])


def test_a_window_of_one_frame_takes_the_one_in_the_middle(source: Checkpoint) -> None:
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
    assert not any("anew" in line for line in told)
    old, new = source.model.state_dict(), target.state_dict()
    a, b = H36M17.index("LElbow"), skeleton.index("left_elbow")
    theirs, ours = slice(8 * a, 8 * a + 8), slice(8 * b, 8 * b + 8)
    assert torch.equal(new["joint_position"][0, b], old["joint_position"][0, a])
    assert torch.equal(new["frame_position"][0, :, ours], old["frame_position"][0, :, theirs])
    qkv = "temporal_blocks.0.attention.qkv.weight"
    for group in range(3):
        rows = new[qkv].unflatten(0, (3, -1))[group], old[qkv].unflatten(0, (3, -1))[group]
        assert torch.equal(rows[0][ours, ours], rows[1][theirs, theirs])
    head = "head.1.weight"
    assert torch.equal(new[head][3 * b : 3 * b + 3, ours], old[head][3 * a : 3 * a + 3, theirs])


def test_joints_that_only_the_target_has_keep_their_start() -> None:
    torch.manual_seed(0)
    small = Checkpoint(
        model=network(joints=15), normalisation="screen", fps=60.0, skeleton="humaneva15"
    )
    target = network()
    before = target.state_dict()["joint_position"].clone()
    transfer(small, target, H36M17)
    spine = H36M17.index("Spine")
    assert torch.equal(target.state_dict()["joint_position"][0, spine], before[0, spine])


def test_what_does_not_fit_is_told(source: Checkpoint) -> None:
    target = network(embed_dim=16, depth=2)
    told = transfer(source, target, H36M17)
    assert "Begin anew" in told[-1]
    with torch.no_grad():
        assert target(torch.zeros(1, 9, 17, 2)).isfinite().all()
