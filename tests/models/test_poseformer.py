from typing import Any

import pytest
import torch
from torch import Tensor

from vidpose.models import PoseFormer
from vidpose.models.blocks import DropPath


@pytest.mark.parametrize("frames", [9, 27, 81])
def test_parameter_count_is_the_paper_networks(frames: int) -> None:
    count = sum(p.numel() for p in PoseFormer(frames=frames).parameters())
    assert count == 9_558_740 + 545 * frames


@pytest.mark.parametrize(("frames", "joints"), [(1, 17), (9, 15), (27, 16)])
def test_any_number_of_frames_and_joints(frames: int, joints: int) -> None:
    model = PoseFormer(frames=frames, joints=joints, embed_dim=16, depth=2).eval()
    assert model(torch.randn(3, frames, joints, 2)).shape == (3, 1, joints, 3)


def test_layers_are_those_of_the_released_code() -> None:
    model: Any = PoseFormer(frames=9, depth=4, drop_path=0.1)
    assert model.spatial_norm.eps == model.temporal_norm.eps == 1e-6
    assert model.head[0].eps == 1e-5
    for blocks in (model.spatial_blocks, model.temporal_blocks):
        rates = [block.drop_path.rate for block in blocks]
        assert rates == pytest.approx([0, 0.1 / 3, 0.2 / 3, 0.1])
        assert all(block.norm1.eps == block.norm2.eps == 1e-6 for block in blocks)
        assert all(block.attention.qkv.bias is not None for block in blocks)
    assert not model.joint_position.any()
    assert not model.frame_position.any()


def test_one_block_against_the_equations() -> None:
    """Attention and block written out with plain matrix products."""
    torch.manual_seed(0)
    model: Any = PoseFormer(frames=9, embed_dim=16, heads=4).eval()
    block = model.spatial_blocks[1]
    x = torch.randn(2, 17, 16)
    normed = block.norm1(x)
    q, k, v = (
        normed @ w.T + b
        for w, b in zip(
            block.attention.qkv.weight.chunk(3), block.attention.qkv.bias.chunk(3), strict=True
        )
    )
    heads = []
    for h in range(4):
        part = slice(4 * h, 4 * h + 4)
        scores = (q[..., part] @ k[..., part].mT / 4**0.5).softmax(-1)
        heads.append(scores @ v[..., part])
    y = x + block.attention.proj(torch.cat(heads, -1))
    y = y + block.mlp(block.norm2(y))
    torch.testing.assert_close(block(x), y)


def test_windows_of_a_batch_do_not_see_each_other() -> None:
    model = PoseFormer(frames=9, embed_dim=16, depth=1).eval()
    x = torch.randn(4, 9, 17, 2)
    torch.testing.assert_close(model(x)[2:3], model(x[2:3]))


def test_every_frame_and_joint_affects_the_pose() -> None:
    model = PoseFormer(frames=9, embed_dim=16, depth=1).eval()
    x = torch.randn(1, 9, 17, 2, requires_grad=True)
    model(x)[0, 0, 3].sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().sum(dim=(0, 3)) > 0).all()


def test_drop_path_keeps_the_mean_and_is_off_in_eval_mode() -> None:
    torch.manual_seed(0)
    drop = DropPath(0.25)
    x = torch.ones(4000, 1, 1)
    kept = drop.draw(x)
    assert kept is not None
    assert kept.shape == x.shape
    assert sorted(set(kept.flatten().tolist())) == pytest.approx([0.0, 1 / 0.75])
    assert abs(float(kept.mean()) - 1) < 0.05
    assert drop.eval().draw(x) is None
    assert DropPath(0.0).draw(x) is None


@pytest.mark.parametrize(
    "sizes",
    [{"frames": 8}, {"frames": 0}, {"embed_dim": 20}, {"drop_path": 1.0}, {"mlp_ratio": 0.0}],
)
def test_impossible_sizes_are_rejected(sizes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(sizes))):
        PoseFormer(**sizes)


def test_other_window_sizes_are_rejected() -> None:
    with pytest.raises(ValueError, match="windows of 9 frames and 17 joints, got 7 and 17"):
        PoseFormer(frames=9, embed_dim=8, depth=1)(torch.zeros(1, 7, 17, 2))


def test_attention_maps_are_those_behind_the_pose() -> None:
    """Rows sum to 1, and the pose follows from the maps, the values and the other layers."""
    torch.manual_seed(0)
    model: Any = PoseFormer(frames=5, joints=6, embed_dim=8, heads=4, depth=2).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    windows = torch.randn(3, 5, 6, 2)
    pose, spatial, temporal = model.forward_with_attention(windows)
    assert spatial.shape == (2, 3, 5, 4, 6, 6)
    assert temporal.shape == (2, 3, 4, 5, 5)
    for maps in (spatial, temporal):
        assert (maps >= 0).all()
        torch.testing.assert_close(maps.sum(-1), torch.ones(maps.shape[:-1]))
        assert float(maps.detach().std(-1).mean()) > 0.01, "the attention is uniform"
    torch.testing.assert_close(pose, model(windows))

    def blocks(x: Tensor, stack: Any, maps: Tensor) -> Tensor:
        for block, seen in zip(stack, maps, strict=True):
            values = block.attention.qkv(block.norm1(x)).chunk(3, dim=-1)[2]
            values = values.unflatten(-1, (4, -1)).transpose(-3, -2)  # (..., heads, tokens, size)
            x = x + block.attention.proj((seen @ values).transpose(-3, -2).flatten(-2))
            x = x + block.mlp(block.norm2(x))
        return x

    x = model.joint_embedding(windows) + model.joint_position
    x = model.spatial_norm(blocks(x, model.spatial_blocks, spatial)).flatten(2)
    x = model.temporal_norm(blocks(x + model.frame_position, model.temporal_blocks, temporal))
    again = model.head(model.frame_pooling(x)).unflatten(-1, (6, 3))
    torch.testing.assert_close(pose, again)


def test_attention_maps_need_whole_windows() -> None:
    with pytest.raises(ValueError, match="windows of 9 frames"):
        PoseFormer(frames=9, embed_dim=8).forward_with_attention(torch.zeros(1, 7, 17, 2))


@pytest.mark.parametrize("joint_positions", [False, True])
@pytest.mark.parametrize("frame_positions", [False, True])
def test_ablated_embeddings_never_learn(joint_positions: bool, frame_positions: bool) -> None:
    torch.manual_seed(0)
    model = PoseFormer(
        frames=9,
        embed_dim=8,
        depth=1,
        joint_positions=joint_positions,
        frame_positions=frame_positions,
    )
    assert (
        model.state_dict().keys() == PoseFormer(frames=9, embed_dim=8, depth=1).state_dict().keys()
    )
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(2, 9, 17, 2)).sum().backward()
    optimizer.step()
    assert bool(model.joint_position.any()) == joint_positions
    assert bool(model.frame_position.any()) == frame_positions


def test_stacks_of_different_depths() -> None:
    model = PoseFormer(frames=9, embed_dim=8, depth=1, temporal_depth=3)
    assert (len(model.spatial_blocks), len(model.temporal_blocks)) == (1, 3)
    with pytest.raises(ValueError, match="temporal_depth"):
        PoseFormer(temporal_depth=0)
