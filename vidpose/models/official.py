"""Import of official checkpoints, the .bin files of PoseFormer and VideoPose3D.

Such a file is a dict written by torch.save: `model_pos`, the network's weights, with keys that
start with `module.` after training on several GPUs; `epoch`; and training state, including a
pickled random generator. No code from the file is run (see `torch_files`). All sizes are inferred
from the weights, and every tensor must fit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vidpose.errors import UsageError, WeightsError
from vidpose.models.base import LiftingModel
from vidpose.models.checkpoint import Checkpoint, save_checkpoint
from vidpose.models.poseformer import PoseFormer
from vidpose.models.videopose import WIDTH, VideoPose
from vidpose.skeleton import H36M17, HUMANEVA15, SKELETONS
from vidpose.utils import torch_files
from vidpose.utils.files import check_writable, obstacle, sha256
from vidpose.utils.outside import reading
from vidpose.utils.state_dicts import load_strictly
from vidpose.utils.torch_files import NUMPY_ARRAYS, NUMPY_RANDOM

Weights = Mapping[str, Tensor]

LAYOUTS = {17: (H36M17.name, 50.0), 15: (HUMANEVA15.name, 60.0)}
"""Skeleton and frame rate by number of joints, in these files only: both programs publish networks
for Human3.6M's 17 and HumanEva's 15 joints. For any other skeleton the user has to name it."""


class Program(NamedTuple):
    """A program whose checkpoints vidpose can read."""

    name: str
    known_by: str
    """A key that only its checkpoints have."""
    build: Callable[[Weights], LiftingModel]
    """Builds the network from the shapes of the weights.

    Raises ValueError, whose message completes "... cannot be used: ", and KeyError for a missing
    key.
    """
    renames: tuple[tuple[str, str], ...]
    """Regular expressions for vidpose's tensor names, with their replacements."""

    def key(self, name: str) -> str:
        """Translate vidpose's name of a tensor to the program's key."""
        for ours, theirs in self.renames:
            name = re.sub(ours, theirs, name)
        # A block is two consecutively numbered layers in VideoPose3D.
        return re.sub(r"\.(\d+)\+(\d)\.", lambda m: f".{2 * int(m[1]) + int(m[2])}.", name)


def _poseformer(weights: Weights) -> PoseFormer:
    if not any(name.startswith("weighted_mean.") for name in weights):
        raise ValueError(
            "it has no weighted mean over the frames, like the different network of PoseFormer's "
            "demo repository; give a checkpoint of zczcwh/PoseFormer itself"
        )
    _, joints, embed_dim = _shape(weights, "Spatial_pos_embed", 3)
    _, frames, _ = _shape(weights, "Temporal_pos_embed", 3)
    hidden, width = _shape(weights, "Spatial_blocks.0.mlp.fc1.weight", 2)
    spatial, temporal = _count(weights, "Spatial_blocks"), _count(weights, "blocks")
    return PoseFormer(
        frames=frames,
        joints=joints,
        embed_dim=embed_dim,
        depth=spatial,
        mlp_ratio=hidden / width,
        temporal_depth=None if temporal == spatial else temporal,
    )


def _videopose(weights: Weights) -> VideoPose:
    channels, inputs, _ = _shape(weights, "expand_conv.weight", 3)
    outputs, _, _ = _shape(weights, "shrink.weight", 3)
    if inputs * 3 != outputs * 2:
        raise ValueError(
            f"it has {inputs} input and {outputs} output channels; vidpose needs x and y in and "
            "x, y and z out for the same joints"
        )
    layers = 1 + _count(weights, "layers_conv") // 2
    return VideoPose(frames=WIDTH**layers, joints=inputs // 2, channels=channels)


def _count(weights: Weights, blocks: str) -> int:
    return len({match[1] for name in weights if (match := re.match(rf"{blocks}\.(\d+)\.", name))})


def _shape(weights: Weights, name: str, axes: int) -> tuple[int, ...]:
    shape = tuple(weights[name].shape)
    if len(shape) != axes or 0 in shape:
        raise ValueError(f"{name} has shape {shape}; expected {axes} sizes above 0")
    return shape


PROGRAMS = (
    Program(
        "PoseFormer",
        "Spatial_pos_embed",
        _poseformer,
        (
            (r"^joint_position$", "Spatial_pos_embed"),
            (r"^frame_position$", "Temporal_pos_embed"),
            (r"^joint_embedding\.", "Spatial_patch_to_embedding."),
            (r"^spatial_blocks\.", "Spatial_blocks."),
            (r"^temporal_blocks\.", "blocks."),
            (r"^spatial_norm\.", "Spatial_norm."),
            (r"^temporal_norm\.", "Temporal_norm."),
            (r"^frame_pooling\.", "weighted_mean."),
            (r"\.attention\.", ".attn."),
            (r"\.mlp\.0\.", ".mlp.fc1."),
            (r"\.mlp\.2\.", ".mlp.fc2."),
        ),
    ),
    Program(
        "VideoPose3D",
        "expand_conv.weight",
        _videopose,
        (
            (r"^expand\.", "expand_conv."),
            (r"^expand_norm\.", "expand_bn."),
            (r"^blocks\.(\d+)\.reach\.", r"layers_conv.\1+0."),
            (r"^blocks\.(\d+)\.norm1\.", r"layers_bn.\1+0."),
            (r"^blocks\.(\d+)\.mix\.", r"layers_conv.\1+1."),
            (r"^blocks\.(\d+)\.norm2\.", r"layers_bn.\1+1."),
        ),
    ),
)


def import_weights(
    source: Path, out: Path | None = None, *, skeleton: str | None = None, fps: float | None = None
) -> Checkpoint:
    """Convert an official checkpoint to a vidpose checkpoint.

    Args:
        source: the .bin file.
        out: the .safetensors file to write; None: next to `source`, with the same name.
        skeleton: see `read_official`.
        fps: see `read_official`.

    Returns:
        The checkpoint written, with its path.

    Raises:
        UsageError: `out` does not end in .safetensors, or `skeleton` or `fps` is invalid.
        WeightsError: `source` cannot be used.
        VidposeError: `out` cannot be written.
    """
    out = out or source.with_suffix(".safetensors")
    if out.suffix != ".safetensors":
        raise UsageError(f"-o {out}: give a file name that ends in .safetensors.")
    if why := obstacle(source, "give a checkpoint to import"):
        raise WeightsError(f"{source} {why}.")
    if not is_torch_file(source):
        raise WeightsError(
            f"{source} was not written by torch.save; give a checkpoint of {_programs()} to import."
        )
    check_writable(out)
    checkpoint = read_official(source, skeleton=skeleton, fps=fps)
    save_checkpoint(out, checkpoint)
    return replace(checkpoint, path=out, sha256=sha256(out))


def is_torch_file(path: Path) -> bool:
    """Whether a file starts like one written by torch.save: a zip archive or a pickle."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(9)
            # A safetensors file starts with an eight-byte length, of any value, and then a brace.
            return head.startswith((b"PK\x03\x04", b"\x80")) and not head.endswith(b"{")
    except OSError:
        return False


def read_official(
    path: Path, *, skeleton: str | None = None, fps: float | None = None
) -> Checkpoint:
    """Read an official checkpoint strictly, on the CPU, in float32; the network is in eval mode.

    Args:
        path: the file.
        skeleton: name of its skeleton; None: from `LAYOUTS`.
        fps: frame rate of its training videos; None: from `LAYOUTS`, else 50.

    Raises:
        WeightsError: the file holds no weights of a known network, not all of them fit it, or
            reading the file would run code from it.
        UsageError: the skeleton is unknown or has another number of joints, or `fps` is out of
            range.
    """
    with reading(path, WeightsError, "cannot be used"):
        content = torch_files.read(path, (*NUMPY_ARRAYS, *NUMPY_RANDOM))
        weights = _weights(content)
        program = _program(weights)
        # VideoPose3D's d-pt-243.bin and pretrained_h36m_detectron_coco.bin: only the name tells.
        if program.name == "VideoPose3D" and re.search(r"coco|\bpt\b", path.stem.lower()):
            raise ValueError(
                "its name says that it maps COCO joints to Human3.6M joints; vidpose needs the "
                "same joints in and out"
            )
        with torch.device("meta"):  # allocate nothing yet: the sizes are untrusted
            model = program.build(weights).eval()
        load_strictly(model, weights, f"{path} cannot be used", program.key)
    known_skeleton, known_fps = LAYOUTS.get(model.config.joints, (None, 50.0))
    skeleton = _skeleton(model.config.joints, skeleton or known_skeleton, path)
    if fps is None:
        fps = known_fps if skeleton == known_skeleton else 50.0
    elif not 0 < fps < 10_000:
        raise UsageError(f"--fps {fps:g}: give the frame rate of the training videos.")
    digest = sha256(path)
    training: dict[str, Any] = {"imported_from": path.name, "program": program.name}
    training["source_sha256"] = digest
    if isinstance(epoch := content.get("epoch"), int):
        training["epoch"] = epoch
    return Checkpoint(
        model=model,
        normalisation="screen",
        fps=fps,
        skeleton=skeleton,
        training=training,
        path=path,
        sha256=digest,
    )


def _weights(content: Any) -> dict[str, Tensor]:
    """Return the tensors under `model_pos`, or of a file that is a bare state dict.

    Raises:
        ValueError: there are none, or one is not a plain tensor with all its data in the file.
    """
    state = content.get("model_pos", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state:
        raise ValueError("it holds no weights under model_pos")
    weights = {}
    for key, tensor in state.items():
        if not (isinstance(key, str) and isinstance(tensor, Tensor)):
            raise ValueError(f"{str(key)[:80]} among its weights is not a tensor")
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
        # With a stride of 0, a few bytes may claim to be a tensor of any shape.
        plain = plain and not (tensor.is_quantized or tensor.is_complex())
        if not plain or tensor.nbytes > tensor.untyped_storage().nbytes():
            raise ValueError(f"{key[:80]} is not made of plain numbers")
        weights[key.removeprefix("module.")] = tensor
    if len(weights) < len(state):
        raise ValueError("it holds weights twice, with and without the prefix module.")
    return weights


def _program(weights: Weights) -> Program:
    if "Freq_embedding.weight" in weights:
        raise ValueError("it is for PoseFormerV2, a different network")
    for program in PROGRAMS:
        if program.known_by in weights:
            return program
    raise ValueError(
        f"it is not a network of {_programs()}: its weights are named "
        f"{', '.join(name[:40] for name in list(weights)[:3])} and so on"
    )


def _programs() -> str:
    return " or ".join(program.name for program in PROGRAMS)


def _skeleton(joints: int, name: str | None, path: Path) -> str:
    fitting = [skeleton.name for skeleton in SKELETONS.values() if len(skeleton) == joints]
    if name in fitting:
        return str(name)
    if not fitting:
        raise WeightsError(f"{path} is for {joints} joints, which no skeleton of vidpose has.")
    other = f", and {name} is not a skeleton with {joints} joints" if name else ""
    raise UsageError(f"{path} is for {joints} joints{other}; give --skeleton {'|'.join(fitting)}.")
