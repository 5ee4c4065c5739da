"""What the networks of all top-down detectors need: safe and strict weights, and a precision."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from vidpose.errors import WeightsError
from vidpose.utils import torch_files
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
"""Names in the checkpoints of MMEngine's runner, beyond those PyTorch's safe reader knows. What
they would build is ignored; any other name makes a file one that is refused."""


def read_tensors(path: Path, what: str) -> dict[str, Tensor]:
    """The weights in a file of torch.save, on the CPU: its `state_dict`, or the file's dict itself.

    No code in the file is run.

    Args:
        path: the file.
        what: what the file should hold, for the message.

    Raises:
        WeightsError: the file is missing, damaged, asks for anything that could run code, or holds
            no weights.
    """
    if not path.is_file():
        raise WeightsError(f"{path} does not exist; give a checkpoint of {what}.")
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


def load_strictly(network: nn.Module, tensors: dict[str, Tensor], path: Path, what: str) -> None:
    """Give the network the tensors; every one must fit.

    Raises:
        WeightsError: some do not; the sentence names up to five.
    """
    own = network.state_dict()
    # Old checkpoints have no counts of batches, which matter to training at most.
    counts = {key for key in own if key.endswith("num_batches_tracked")}
    wrong = [f"{key} is missing" for key in own.keys() - counts - tensors.keys()]
    wrong += [f"{key[:80]} is not part of the network" for key in tensors.keys() - own.keys()]
    wrong += [
        f"{key} is {tuple(tensors[key].shape)} where {tuple(own[key].shape)} is needed"
        for key in own.keys() & tensors.keys()
        if own[key].shape != tensors[key].shape
    ]
    wrong += [f"{key[:80]} is not finite" for key, t in tensors.items() if not t.isfinite().all()]
    if wrong:
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise WeightsError(f"{path} is no {what}: {'; '.join(sorted(wrong)[:5])}{more}.")
    network.load_state_dict(own | tensors)


def precision(device: torch.device, half: Half) -> torch.dtype:
    """The type to compute in: float32, or bfloat16 on a CPU and float16 on a GPU."""
    on_cpu = device.type == "cpu"
    if half == "auto":
        half = not on_cpu or bool(
            torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        )
    if not half:
        return torch.float32
    return torch.bfloat16 if on_cpu else torch.float16
