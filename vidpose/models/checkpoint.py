"""Checkpoints: a network's weights and everything needed to use them.

A checkpoint is a safetensors file, which cannot contain code. Its metadata holds the network's
configuration, input normalisation, training frame rate, skeleton and training provenance.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors import torch as safetensors

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
from vidpose.utils.outside import number, parse_json, parse_object, reading
from vidpose.utils.state_dicts import load_strictly

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
"""The networks by their name in checkpoints; all take `frames` and `joints`."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A network with its normalisation, frame rate, skeleton and provenance."""

    model: LiftingModel
    normalisation: str
    """A key of `vidpose.models.normalisation.NORMALISATIONS`."""
    fps: float
    """Frame rate of the windows it was trained on."""
    skeleton: str
    training: dict[str, Any] = field(default_factory=dict)
    """Data, recipe and errors; JSON values only."""
    path: Path | None = None
    sha256: str | None = None


def save_checkpoint(path: Path, checkpoint: Checkpoint, dtype: torch.dtype = torch.float32) -> None:
    """Write a checkpoint atomically."""
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
        # Not safetensors.save_file: it does not report a full disk as an OSError.
        temporary.write_bytes(safetensors.save(tensors, metadata))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a vidpose checkpoint strictly, on the CPU, in float32; the network is in eval mode.

    Raises:
        WeightsError: the file is not a vidpose checkpoint, or its tensors do not fit the network
            in its metadata.
    """
    advice = "give a .safetensors file that vidpose wrote"
    with (
        reading(path, WeightsError, "holds no weights that can be read", advice),
        safe_open(path, framework="pt") as file,
    ):
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if metadata.get("format") != FORMAT:
        raise WeightsError(
            f"{path} is a safetensors file but no {FORMAT} checkpoint; give one that "
            "`vidpose train` wrote."
        )
    with reading(path, WeightsError, "is not usable", "it may need a newer vidpose"):
        kind = MODELS[_one_of(metadata, "model", MODELS)]
        # Untrusted sizes: check their bounds, and allocate nothing before the tensors fit.
        with torch.device("meta"):
            model = kind(**_sizes(kind, metadata["config"]))
        checkpoint = Checkpoint(
            model=model.eval(),
            normalisation=_one_of(metadata, "normalisation", NORMALISATIONS),
            fps=number("fps", parse_json(metadata["fps"]), 0.01, 10_000),
            skeleton=_one_of(metadata, "skeleton", SKELETONS),
            training=parse_object("training", metadata["training"]),
            path=path,
            sha256=sha256(path),
        )
        joints = len(SKELETONS[checkpoint.skeleton])
        if model.config.joints != joints:
            raise ValueError(
                f"{model.config.joints} joints, but {checkpoint.skeleton} has {joints}"
            )
        load_strictly(checkpoint.model, tensors, f"{path} does not fit its own description")
    return checkpoint


def _sizes(kind: type[LiftingModel], config: str) -> dict[str, Any]:
    """Parse a network's arguments; raise ValueError for an unknown one."""
    sizes = parse_object("config", config)
    known = [field.name for field in fields(kind.config_class)]
    if strange := [name for name in sizes if name not in known]:
        raise ValueError(f"{kind.name} has no {strange[0][:40]!r}")
    return sizes


def _one_of(metadata: Mapping[str, str], key: str, known: Mapping[str, Any]) -> str:
    if metadata[key] not in known:
        raise ValueError(f"{key} {metadata[key][:40]!r} is not known")
    return metadata[key]
