"""Checkpoints in the format of the authors' programs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

State = dict[str, Tensor]


def _linear(state: State, name: str, inputs: int, outputs: int) -> None:
    state[f"{name}.weight"] = torch.randn(outputs, inputs) / inputs**0.5
    state[f"{name}.bias"] = torch.randn(outputs) / 10


def _norm(state: State, name: str, width: int) -> None:
    state[f"{name}.weight"] = 1 + torch.randn(width) / 10
    state[f"{name}.bias"] = torch.randn(width) / 10


def poseformer_state(
    frames: int = 9, joints: int = 17, embed_dim: int = 8, depths: tuple[int, int] = (2, 2)
) -> State:
    """Random weights under PoseFormer's names; a frame is `joints * embed_dim` wide."""
    torch.manual_seed(0)
    width = joints * embed_dim
    state = {
        "Spatial_pos_embed": torch.randn(1, joints, embed_dim),
        "Temporal_pos_embed": torch.randn(1, frames, width),
    }
    _linear(state, "Spatial_patch_to_embedding", 2, embed_dim)
    stacks = ("Spatial_blocks", depths[0], embed_dim), ("blocks", depths[1], width)
    for stack, depth, dim in stacks:
        for block in (f"{stack}.{i}" for i in range(depth)):
            _norm(state, f"{block}.norm1", dim)
            _linear(state, f"{block}.attn.qkv", dim, 3 * dim)
            _linear(state, f"{block}.attn.proj", dim, dim)
            _norm(state, f"{block}.norm2", dim)
            _linear(state, f"{block}.mlp.fc1", dim, 2 * dim)
            _linear(state, f"{block}.mlp.fc2", 2 * dim, dim)
    _norm(state, "Spatial_norm", embed_dim)
    _norm(state, "Temporal_norm", width)
    state["weighted_mean.weight"] = torch.randn(1, frames, 1) / frames
    state["weighted_mean.bias"] = torch.randn(1)
    _norm(state, "head.0", width)
    _linear(state, "head.1", width, 3 * joints)
    return state


def videopose_state(frames: int = 27, joints: int = 17, channels: int = 16) -> State:
    """Random weights under VideoPose3D's names, as its first files have them."""
    torch.manual_seed(0)
    state: State = {}

    def layer(conv: str, norm: str, inputs: int, width: int) -> None:
        state[f"{conv}.weight"] = torch.randn(channels, inputs, width) / (inputs * width) ** 0.5
        _norm(state, norm, channels)
        state[f"{norm}.running_mean"] = torch.randn(channels) / 10
        state[f"{norm}.running_var"] = torch.rand(channels) + 0.5

    layer("expand_conv", "expand_bn", 2 * joints, 3)
    for i in range(round(math.log(frames, 3)) - 1):
        layer(f"layers_conv.{2 * i}", f"layers_bn.{2 * i}", channels, 3)
        layer(f"layers_conv.{2 * i + 1}", f"layers_bn.{2 * i + 1}", channels, 1)
    state["shrink.weight"] = torch.randn(3 * joints, channels, 1) / channels**0.5
    state["shrink.bias"] = torch.randn(3 * joints)
    return state


def write_official(
    path: Path, state: State, *, prefix: str = "module.", legacy: bool = False, **changes: Any
) -> Path:
    """What PoseFormer's and VideoPose3D's training loops save after an epoch.

    Args:
        path: the file to write.
        state: the weights.
        prefix: before their names, as on several GPUs.
        legacy: in the format that torch.save had before its zip format.
        changes: other values than a training loop's, by key.
    """
    content = {
        "epoch": 58,
        "lr": 2.2e-5,
        "random_state": np.random.RandomState(1234),
        "optimizer": {} if "optimizer" in changes else _optimizer(state),
        "model_pos": {prefix + name: tensor.detach() for name, tensor in state.items()},
    }
    torch.save(content | changes, path, _use_new_zipfile_serialization=not legacy)
    return path


def _optimizer(state: State) -> dict[str, Any]:
    """AdamW's state after a step."""
    parameters = [torch.nn.Parameter(t) for t in state.values() if t.is_floating_point()]
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer = torch.optim.AdamW(parameters, lr=4e-5, weight_decay=0.1, amsgrad=True)
    optimizer.step()
    return optimizer.state_dict()
