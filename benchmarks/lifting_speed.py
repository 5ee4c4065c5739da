"""Speed of lifting compared with the official evaluation and the public demos; frames/s.

    python benchmarks/run.py --only lifting_speed [--quick] [--runs N] [--cpu-time]

All methods use the same network, weights and 2D joints. `difference, mm` is the mean distance of
the joints from those of the first method.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from common import Settings, Table, alternate
from torch import Tensor, nn

from vidpose.lifting.sliding_window import mirror, slide
from vidpose.models import LiftingModel, PoseFormer
from vidpose.models.sliding import sliding_form
from vidpose.skeleton import H36M17

BATCH = 128
"""Batch size of the official evaluation, in windows."""
MIRRORED = torch.from_numpy(H36M17.mirrored)

Lift = Callable[[Tensor], Tensor]
"""(T, J, 2) -> (T, J, 3)."""


def table(settings: Settings) -> Table:
    torch.manual_seed(0)
    frames = 192 if settings.quick else 3000
    demo_frames = 8 if settings.quick else 150
    rows: list[tuple[str, ...]] = []
    for name, model in _networks().items():
        rows += _rows(name, model, swaying_person(frames), demo_frames, settings)
    return Table(
        title="Lifting",
        note=f"{frames} frames of one person. The official evaluation cuts out every window and "
        f"runs the whole network on batches of {BATCH}, in fp32, with attention in three steps; "
        "the public demos do the same with one window and its mirrored copy at a time (here for "
        f"{demo_frames} frames, since each costs the same). The difference is the mean distance of "
        "joints from the plain implementation's; the weights are random, so it is only meaningful "
        "in fp32.",
        header=("network", "method", "flip averaging", "frames/s", "speed-up", "difference, mm"),
        rows=rows,
    )


def _networks() -> dict[str, LiftingModel]:
    networks: dict[str, LiftingModel] = {}
    for frames in (81, 27):
        paper = PoseFormer(frames=frames).eval()
        for position in (paper.joint_position, paper.frame_position):
            nn.init.normal_(position, std=0.02)  # initialised to zero
        networks[f"PoseFormer, f={frames}"] = paper
    return networks


def _rows(
    network: str, model: LiftingModel, track: Tensor, demo_frames: int, settings: Settings
) -> list[tuple[str, ...]]:
    plain = as_released(model)
    fp32, bf16 = sliding_form(model), sliding_form(model, torch.bfloat16)
    ways: dict[tuple[str, str], tuple[Lift, Tensor]] = {
        ("official evaluation", "no"): (lambda x: every_window(plain, x), track),
        ("vidpose, fp32", "no"): (lambda x: slide(fp32, x, None).poses, track),
        ("vidpose, bf16", "no"): (lambda x: slide(bf16, x, None).poses, track),
        ("public demos", "yes"): (lambda x: one_at_a_time(plain, x), track[:demo_frames]),
        ("vidpose, fp32", "yes"): (lambda x: slide(fp32, x, MIRRORED).poses, track),
        ("vidpose, bf16", "yes"): (lambda x: slide(bf16, x, MIRRORED).poses, track),
    }
    seconds = alternate(
        {str(key): partial(lift, x) for key, (lift, x) in ways.items()},
        settings.runs,
        settings.cpu_time,
    )
    rates = {key: len(ways[key][1]) / seconds[str(key)] for key in ways}
    base: dict[str, float] = {}
    expected: dict[str, Tensor] = {}
    rows: list[tuple[str, ...]] = []
    for (way, flip), (lift, _) in ways.items():
        some = lift(track[:demo_frames])
        base.setdefault(flip, rates[way, flip])
        expected.setdefault(flip, some)
        difference = 1000 * float(torch.linalg.norm(some - expected[flip], dim=-1).mean())
        faster = rates[way, flip] / base[flip]
        rate, difference_mm = f"{rates[way, flip]:.1f}", f"{difference:.4f}"
        rows.append((network, way, flip, rate, f"{faster:.2f}", difference_mm))
    return rows


def as_released(model: LiftingModel) -> LiftingModel:
    """The same network with attention computed as in the released code."""
    plain: Any = copy.deepcopy(model)
    for block in (*plain.spatial_blocks, *plain.temporal_blocks):
        block.attention = _ThreeSteps(block.attention)
    return plain


class _ThreeSteps(nn.Module):
    """Attention as scores, softmax and weighted sum, each a tensor of its own."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.heads, self.qkv, self.proj = attention.heads, attention.qkv, attention.proj

    def forward(self, x: Tensor, *_: object) -> Tensor:
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        weights = ((q @ k.mT) * (dim // self.heads) ** -0.5).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(batch, tokens, dim))


@torch.no_grad()
def every_window(model: LiftingModel, track: Tensor) -> Tensor:
    """The official evaluation's method, without flip averaging."""
    return torch.cat([model(batch)[:, 0] for batch in _windows(model, track).split(BATCH)])


@torch.no_grad()
def one_at_a_time(model: LiftingModel, track: Tensor) -> Tensor:
    """The public demos' method."""
    poses = []
    plain, flipped = _windows(model, track), _windows(model, mirror(track, MIRRORED))
    for window, other in zip(plain.split(1), flipped.split(1), strict=True):
        poses.append((model(window)[:, 0] + mirror(model(other)[:, 0], MIRRORED)) / 2)
    return torch.cat(poses)


def _windows(model: LiftingModel, track: Tensor) -> Tensor:
    """(T, J, 2) -> (T, F, J, 2), edges repeated."""
    reach = model.config.frames // 2
    around = torch.arange(-reach, len(track) + reach).clamp(0, len(track) - 1)
    return track[around].unfold(0, model.config.frames, 1).permute(0, 3, 1, 2)


def swaying_person(frames: int) -> Tensor:
    """(T, 17, 2) normalised keypoints of a swaying person."""
    time = torch.arange(frames)[:, None, None] / 30
    pose = 0.3 * torch.randn(17, 2) + 0.1 * torch.sin(3 * time + 3 * torch.randn(17, 2))
    pose += 0.01 * torch.randn(frames, 17, 2)
    return pose - pose[:, :1]
