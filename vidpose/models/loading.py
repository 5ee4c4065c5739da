"""Loading checkpoints, vidpose's own or official ones."""

from __future__ import annotations

from pathlib import Path

from vidpose.errors import WeightsError
from vidpose.models.base import LiftingModel
from vidpose.models.checkpoint import Checkpoint, read_checkpoint
from vidpose.models.official import is_torch_file, read_official
from vidpose.utils.files import obstacle


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint strictly, on the CPU, in float32; the network is in eval mode.

    It may also be an official .bin file, see `official.read_official`.

    Raises:
        WeightsError: the file is missing, is not a checkpoint, or its tensors do not fit the
            network in its metadata.
        UsageError: it is an official checkpoint whose skeleton cannot be inferred.
    """
    path = Path(path)
    advice = "give a .safetensors file that vidpose wrote"
    if why := obstacle(path, advice):
        raise WeightsError(f"{path} {why}.")
    if path.suffix.lower() == ".npz":  # also a zip archive, but never written by torch.save
        raise WeightsError(f"{path} holds arrays, such as a result, and no weights; {advice}.")
    return read_official(path) if is_torch_file(path) else read_checkpoint(path)


def load_model(path: str | Path) -> LiftingModel:
    """Load a checkpoint's network, in eval mode, on the CPU; `model.config` has its sizes.

    It takes (B, frames, 17, 2) normalised keypoints and returns (B, 1, 17, 3) metres. The file may
    be vidpose's own or an official .bin. `load_checkpoint` also returns the normalisation.

    Raises:
        WeightsError, UsageError: as `load_checkpoint`.
    """
    return load_checkpoint(path).model
