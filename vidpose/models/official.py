"""Checkpoints of other programs, made ours: the .bin files of PoseFormer and of VideoPose3D.

Such a file is a dict that torch.save wrote: `model_pos`, the network's weights, whose keys begin
with `module.` where several GPUs were used; `epoch`; and what its program needs to go on training,
a pickled random generator among it. Nothing of the file is run (see `torch_files`). All sizes are
read off the weights, and every one of them must fit.
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
"""Skeleton and frames a second that a number of joints means in these files, and only in these:
both programs publish networks for Human3.6M's 17 and for HumanEva's 15 joints, and no others.
Whoever trained one on other joints has to name them."""


class Program(NamedTuple):
    """A program whose checkpoints are understood."""

    name: str
    known_by: str
    """A key that only its checkpoints have."""
    build: Callable[[Weights], LiftingModel]
    """The network that the shapes of the weights describe.

    Raises ValueError, to complete "... cannot be used: ", and KeyError for a missing key.
    """
    renames: tuple[tuple[str, str], ...]
    """Patterns in our names of tensors, and what its names have there."""

    def key(self, name: str) -> str:
        """Our name of a tensor -> its key."""
        for ours, theirs in self.renames:
            name = re.sub(ours, theirs, name)
        # A block is two layers of VideoPose3D's, numbered through.
        return re.sub(r"\.(\d+)\+(\d)\.", lambda m: f".{2 * int(m[1]) + int(m[2])}.", name)


def _poseformer(weights: Weights) -> PoseFormer:
    if not any(name.startswith("weighted_mean.") for name in weights):
        raise ValueError(
            "it has no weighted mean over the frames, as in PoseFormer's demo repository, whose "
            "network is another one; give a checkpoint of zczcwh/PoseFormer itself"
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
            f"it takes {inputs} numbers a frame and gives {outputs}; here a network takes x and y "
            "of the very joints that it gives x, y and z of"
        )
    layers = 1 + _count(weights, "layers_conv") // 2
    return VideoPose(frames=WIDTH**layers, joints=inputs // 2, channels=channels)


def _count(weights: Weights, blocks: str) -> int:
    return len({match[1] for name in weights if (match := re.match(rf"{blocks}\.(\d+)\.", name))})


def _shape(weights: Weights, name: str, axes: int) -> tuple[int, ...]:
    shape = tuple(weights[name].shape)
    if len(shape) != axes or 0 in shape:
        raise ValueError(f"{name} is {shape}, where {axes} sizes above 0 are needed")
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
    """Write an official checkpoint as one of ours.

    Args:
        source: the .bin file.
        out: the .safetensors file to write; None: next to `source`, with the same name.
        skeleton: see `read_official`.
        fps: see `read_official`.

    Returns:
        What was written, with its path.

    Raises:
        UsageError: `out` is no .safetensors, or `skeleton` or `fps` make no sense.
        WeightsError: `source` cannot be used.
        VidposeError: `out` cannot be written.
    """
    out = out or source.with_suffix(".safetensors")
    if out.suffix != ".safetensors":
        raise UsageError(f"-o {out}: give the name of the .safetensors to write.")
    if why := obstacle(source, "give a checkpoint to import"):
        raise WeightsError(f"{source} {why}.")
    if not is_torch_file(source):
        raise WeightsError(
            f"{source} is no file of torch.save; give a checkpoint of {_programs()} to import."
        )
    check_writable(out)
    checkpoint = read_official(source, skeleton=skeleton, fps=fps)
    save_checkpoint(out, checkpoint)
    return replace(checkpoint, path=out, sha256=sha256(out))


def is_torch_file(path: Path) -> bool:
    """Whether a file begins as those of torch.save do: a zip archive or a pickle."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(9)
            # A safetensors file begins with eight bytes of a length, any of them, and then this.
            return head.startswith((b"PK\x03\x04", b"\x80")) and not head.endswith(b"{")
    except OSError:
        return False


def read_official(
    path: Path, *, skeleton: str | None = None, fps: float | None = None
) -> Checkpoint:
    """Read an official checkpoint, strictly, on the CPU, in float32; the network is in eval mode.

    Args:
        path: the file.
        skeleton: whose joints they are; None: what `LAYOUTS` has for such a file.
        fps: frames a second of the videos it was trained on; None: as in `LAYOUTS`, else 50.

    Raises:
        WeightsError: the file holds no weights of a known network, or they do not all fit it, or
            reading it would need code in it to run.
        UsageError: the skeleton is not known or has another number of joints, or `fps` is none.
    """
    with reading(path, WeightsError, "cannot be used"):
        content = torch_files.read(path, (*NUMPY_ARRAYS, *NUMPY_RANDOM))
        weights = _weights(content)
        program = _program(weights)
        # VideoPose3D's d-pt-243.bin and pretrained_h36m_detectron_coco.bin: nothing in the
        # file shows it.
        if program.name == "VideoPose3D" and re.search(r"coco|\bpt\b", path.stem.lower()):
            raise ValueError(
                "its name says that it takes COCO's joints and gives Human3.6M's, where here a "
                "network takes the joints that it gives"
            )
        with torch.device("meta"):  # no memory yet: the file may describe anything
            model = program.build(weights).eval()
        load_strictly(model, weights, f"{path} cannot be used", program.key)
    known_skeleton, known_fps = LAYOUTS.get(model.config.joints, (None, 50.0))
    skeleton = _skeleton(model.config.joints, skeleton or known_skeleton, path)
    if fps is None:
        fps = known_fps if skeleton == known_skeleton else 50.0
    elif not 0 < fps < 10_000:
        raise UsageError(f"--fps {fps:g}: give the frames a second of the training videos.")
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
    """The tensors under `model_pos`, or those of a file that holds nothing else.

    Raises:
        ValueError: there are none, or one is not made of plain numbers that are in the file.
    """
    state = content.get("model_pos", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state:
        raise ValueError("it holds no model_pos, where the weights should be")
    weights = {}
    for key, tensor in state.items():
        if not (isinstance(key, str) and isinstance(tensor, Tensor)):
            raise ValueError(f"{str(key)[:80]} among its weights is no tensor")
        plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
        # A few bytes may claim to be a tensor of any shape, by a stride of 0.
        plain = plain and not (tensor.is_quantized or tensor.is_complex())
        if not plain or tensor.nbytes > tensor.untyped_storage().nbytes():
            raise ValueError(f"{key[:80]} is not made of plain numbers")
        weights[key.removeprefix("module.")] = tensor
    if len(weights) < len(state):
        raise ValueError("it holds weights twice, with and without module. before their names")
    return weights


def _program(weights: Weights) -> Program:
    if "Freq_embedding.weight" in weights:
        raise ValueError("it is of PoseFormerV2, which is another network")
    for program in PROGRAMS:
        if program.known_by in weights:
            return program
    raise ValueError(
        f"it is of no network of {_programs()}: its weights are called "
        f"{', '.join(name[:40] for name in list(weights)[:3])} and so on"
    )


def _programs() -> str:
    return " or ".join(program.name for program in PROGRAMS)


def _skeleton(joints: int, name: str | None, path: Path) -> str:
    fitting = [skeleton.name for skeleton in SKELETONS.values() if len(skeleton) == joints]
    if name in fitting:
        return str(name)
    if not fitting:
        raise WeightsError(f"{path} is for {joints} joints, and no skeleton here has so many.")
    other = f", and {name} is no skeleton of as many" if name else ""
    raise UsageError(f"{path} is for {joints} joints{other}; give --skeleton {'|'.join(fitting)}.")
