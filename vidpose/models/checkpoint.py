"""Checkpoints: a network's weights with all that is needed to use them.

A checkpoint is a safetensors file (no code in it can run) whose metadata says what the network
is, how its input is normalised, at which frame rate and for which skeleton it was trained, and
from what.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vidpose.errors import WeightsError
from vidpose.models.base import LiftingModel
from vidpose.models.joint_transformer import JointTransformer
from vidpose.models.martinez import Martinez
from vidpose.models.normalisation import NORMALISATIONS
from vidpose.models.poseformer import PoseFormer
from vidpose.models.sequence import SequencePoseFormer
from vidpose.models.temporal_transformer import TemporalTransformer
from vidpose.models.videopose import VideoPose
from vidpose.skeleton import SKELETONS
from vidpose.utils.files import replacing, sha256

FORMAT = "vidpose-weights/1"
MODELS: dict[str, type[LiftingModel]] = {
    model.name: model
    for model in (
        PoseFormer,
        SequencePoseFormer,
        TemporalTransformer,
        JointTransformer,
        Martinez,
        VideoPose,
    )
}
"""The networks, by the name that checkpoints give them; all take `frames` and `joints`."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A network and how to use it."""

    model: LiftingModel
    normalisation: str
    """A key of `vidpose.models.normalisation.NORMALISATIONS`."""
    fps: float
    """Frames a second of the windows it was trained on."""
    skeleton: str
    training: dict[str, Any] = field(default_factory=dict)
    """Data, recipe and errors; JSON values only."""
    path: Path | None = None
    sha256: str | None = None


def save_checkpoint(path: Path, checkpoint: Checkpoint, dtype: torch.dtype = torch.float32) -> None:
    """Write a checkpoint; it appears whole or not at all."""
    metadata = {
        "format": FORMAT,
        "model": checkpoint.model.name,
        "config": json.dumps(asdict(checkpoint.model.config)),
        "normalisation": checkpoint.normalisation,
        "fps": json.dumps(checkpoint.fps),
        "skeleton": checkpoint.skeleton,
        "training": json.dumps(checkpoint.training),
    }
    tensors = {
        name: tensor.detach().to("cpu", dtype if tensor.is_floating_point() else None).contiguous()
        for name, tensor in checkpoint.model.state_dict().items()
    }
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint, strictly, on the CPU, in float32; the network is in eval mode.

    It may also be one of the official .bin files that `official.read_official` understands.

    Raises:
        WeightsError: the file is missing, is no vidpose checkpoint, or does not fit the network
            that it says it is for.
        UsageError: it is an official one that does not tell whose joints it is for.
    """
    from vidpose.models import official  # which needs what stands here

    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path} does not exist; give a .safetensors file of vidpose's.")
    if official.is_torch_file(path):
        return official.read_official(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError):
        raise WeightsError(
            f"{path} holds no weights that can be read; give a .safetensors file of vidpose's."
        ) from None
    if metadata.get("format") != FORMAT:
        raise WeightsError(
            f"{path} is a safetensors file but no {FORMAT} checkpoint; give one that "
            "`vidpose train` wrote."
        )
    try:
        with torch.device("meta"):  # no memory yet: the file may describe anything
            model = MODELS[metadata["model"]](**json.loads(metadata["config"]))
        checkpoint = Checkpoint(
            model=model.eval(),
            normalisation=_one_of(metadata, "normalisation", NORMALISATIONS),
            fps=float(json.loads(metadata["fps"])),
            skeleton=_one_of(metadata, "skeleton", SKELETONS),
            training=json.loads(metadata["training"]),
            path=path,
            sha256=sha256(path),
        )
        if not 0 < checkpoint.fps < 10_000:
            raise ValueError(f"fps is {checkpoint.fps}")
        joints = len(SKELETONS[checkpoint.skeleton])
        if model.config.joints != joints:
            raise ValueError(
                f"{model.config.joints} joints, but {checkpoint.skeleton} has {joints}"
            )
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(
            f"{path} is not usable ({error}); it may need a newer vidpose."
        ) from None
    _load_strictly(checkpoint.model, tensors, path)
    return checkpoint


def load_model(path: str | Path) -> LiftingModel:
    """The network of a checkpoint, in eval mode, on the CPU; `model.config` has its sizes.

    It takes (B, frames, 17, 2) normalised keypoints and gives (B, 1, 17, 3) metres. The file may
    be ours or an official .bin, as for `load_checkpoint`, which also tells the normalisation.

    Raises:
        WeightsError, UsageError: as `load_checkpoint`.
    """
    return load_checkpoint(path).model


def _one_of(metadata: Mapping[str, str], key: str, known: Mapping[str, Any]) -> str:
    if metadata[key] not in known:
        raise ValueError(f"{key} {metadata[key][:40]!r} is not known")
    return metadata[key]


def misfits(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """What is missing, unknown, of another shape or not finite, in words; empty if all fits."""
    wrong = [f"{key} is missing" for key in expected.keys() - found.keys()]
    wrong += [f"{key[:80]} is not part of the network" for key in found.keys() - expected.keys()]
    wrong += [
        f"{key} is {tuple(found[key].shape)} where {tuple(expected[key].shape)} is needed"
        for key in expected.keys() & found.keys()
        if expected[key].shape != found[key].shape
    ]
    wrong += [f"{key[:80]} is not finite" for key, t in found.items() if not t.isfinite().all()]
    more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
    return "; ".join(sorted(wrong)[:5]) + more


def _load_strictly(model: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    if wrong := misfits(model.state_dict(), tensors):
        raise WeightsError(f"{path} does not fit its own description: {wrong}.")
    load(model, tensors)


def load(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a network on the meta device its tensors, all of which fit, in its own types."""
    own = model.state_dict()
    model.load_state_dict(
        {key: t.detach().to(own[key].dtype).contiguous() for key, t in tensors.items()}, assign=True
    )
