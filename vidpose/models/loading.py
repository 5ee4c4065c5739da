"""Opening a checkpoint, whether it is ours or an official one."""

from __future__ import annotations

from pathlib import Path

from vidpose.errors import WeightsError
from vidpose.models.base import LiftingModel
from vidpose.models.checkpoint import Checkpoint, read_checkpoint
from vidpose.models.official import is_torch_file, read_official
from vidpose.utils.files import obstacle


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint, strictly, on the CPU, in float32; the network is in eval mode.

    It may also be one of the official .bin files that `official.read_official` understands.

    Raises:
        WeightsError: the file is missing, is no vidpose checkpoint, or does not fit the network
            that it says it is for.
        UsageError: it is an official one that does not tell whose joints it is for.
    """
    path = Path(path)
    advice = "give a .safetensors file of vidpose's"
    if why := obstacle(path, advice):
        raise WeightsError(f"{path} {why}.")
    if path.suffix.lower() == ".npz":  # a zip archive as well, but never of torch.save
        raise WeightsError(f"{path} holds arrays, such as a result, and no weights; {advice}.")
    return read_official(path) if is_torch_file(path) else read_checkpoint(path)


def load_model(path: str | Path) -> LiftingModel:
    """The network of a checkpoint, in eval mode, on the CPU; `model.config` has its sizes.

    It takes (B, frames, 17, 2) normalised keypoints and gives (B, 1, 17, 3) metres. The file may
    be ours or an official .bin, as for `load_checkpoint`, which also tells the normalisation.

    Raises:
        WeightsError, UsageError: as `load_checkpoint`.
    """
    return load_checkpoint(path).model
