"""Shared by the networks of all top-down detectors: safe loading of weights, precision, crops."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidpose.detect.topdown import crop_affines
from vidpose.errors import WeightsError
from vidpose.skeleton import COCO17
from vidpose.utils import torch_files
from vidpose.utils.devices import computes_in_bf16
from vidpose.utils.files import obstacle
from vidpose.utils.torch_files import NUMPY_ARRAYS

Half = bool | Literal["auto"]
"""Whether to compute in a 16-bit type; auto: where the hardware does."""


IGNORED = (
    "mmengine.config.config.Config",
    "mmengine.config.config.ConfigDict",
    "mmengine.logging.history_buffer.HistoryBuffer",
    *NUMPY_ARRAYS,
    "builtins.getattr",
)
"""Names in the checkpoints of MMEngine's runner, in addition to those of PyTorch's safe reader. The
objects they would build are ignored; a file with any other name is rejected."""


def read_tensors(path: Path, what: str) -> dict[str, Tensor]:
    """Read the weights of a torch.save file, on the CPU: its `state_dict`, or the file's own dict.

    No code in the file is run.

    Args:
        path: the file.
        what: the expected network, for the message.

    Raises:
        WeightsError: the file is missing, damaged, could run code, or holds no weights.
    """
    if why := obstacle(path, f"give a checkpoint of {what}"):
        raise WeightsError(f"{path} {why}.")
    try:
        content = torch_files.read(path, IGNORED)
    except torch_files.UnreadableError:
        raise WeightsError(
            f"{path} holds no weights that can be read without running code in it, or is cut off; "
            f"give a whole checkpoint of {what} that torch.save wrote."
        ) from None
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise WeightsError(f"{path} holds no weights; give a checkpoint of {what}.")
    return state


def precision(device: torch.device, half: Half) -> torch.dtype:
    """Return the type to compute in: float32, or bfloat16 on a CPU and float16 on a GPU."""
    on_cpu = device.type == "cpu"
    if half == "auto":
        half = not on_cpu or computes_in_bf16(device)
    if not half:
        return torch.float32
    return torch.bfloat16 if on_cpu else torch.float16


class Network:
    """Base of all networks: device, precision and description.

    Args:
        name: kind of network.
        label: its variant, for the description.
        device: where to compute.
        half: see `Half`.
        weights: file names and SHA-256, for the description.
        options: further entries of the description; JSON values.
    """

    def __init__(
        self,
        name: str,
        label: str,
        device: torch.device | str,
        half: Half,
        weights: dict[str, str] | None,
        options: dict[str, Any],
    ) -> None:
        self.name = name
        self._device = torch.device(device)
        self._dtype = precision(self._device, half)
        digits = str(self._dtype).removeprefix("torch.")
        self.description: dict[str, Any] = {
            "name": name,
            "network": label,
            "weights": weights or {},
            "options": {**options, "precision": digits},
        }


class HeatmapNetwork(Network, ABC):
    """A `PoseNetwork` that predicts heat maps of COCO's joints; see `Network` for the arguments."""

    input_size: tuple[int, int]
    border_rgb: tuple[int, int, int]
    padding: tuple[float, float]
    """A crop shows at least this many times the box's width and height."""
    skeleton = COCO17

    def affines(self, boxes: NDArray[np.floating]) -> NDArray[np.float64]:
        """See `PoseNetwork.affines`: upright crops with the box in the centre, `padding` times as
        large and extended to the aspect ratio of the crop.
        """
        return crop_affines(boxes, self.input_size, self.padding)

    def joints(self, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `PoseNetwork.joints`."""
        width, height = self.input_size
        if crops.shape[1:] != (height, width, 3):
            raise ValueError(f"crops: expected (any, {height}, {width}, 3), got {crops.shape}")
        if not len(crops):
            return np.zeros((0, len(COCO17), 2), np.float32), np.zeros((0, len(COCO17)), np.float32)
        return self._locate(self._maps(crops))

    @abstractmethod
    def _maps(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, H, W, 3) RGB crops -> (N, 17, H / 4, W / 4) heat maps."""

    @abstractmethod
    def _locate(self, maps: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Heat maps -> (N, 17, 2) pixels of the crop and (N, 17) scores, 0 to 1."""
