"""Strict loading of weights: every tensor must match, or the error names those that do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from vidpose.errors import WeightsError

NAMED_MISFITS = 5
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Dtypes of stored weights; quantised tensors are meaningless without their scales."""


def load_strictly(
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    problem: str,
    key_in_file: Callable[[str], str] = lambda key: key,
) -> None:
    """Load tensors into a network, in its own dtypes; it may be on the meta device.

    `num_batches_tracked` may be missing: old files lack it, and only training uses it.

    Args:
        network: its weights and statistics are replaced.
        tensors: by the file's keys.
        problem: begins the message if they do not match, such as "FILE is not a CPN".
        key_in_file: converts a network's key to the file's.

    Raises:
        WeightsError: a tensor is missing, unknown, of another shape or type, or not finite.
    """
    own = network.state_dict()
    counts = {key_in_file(k): torch.tensor(0) for k in own if k.endswith("num_batches_tracked")}
    found = counts | dict(tensors)
    if wrong := misfits({key_in_file(key): tensor for key, tensor in own.items()}, found):
        raise WeightsError(f"{problem}: {wrong}.")
    fitting = {key: found[key_in_file(key)].detach().to(t.dtype) for key, t in own.items()}
    # Clones, so that memory shared by the file's tensors is freed.
    network.load_state_dict(
        {k: t.clone(memory_format=torch.contiguous_format) for k, t in fitting.items()}, assign=True
    )


def misfits(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Describe tensors that are missing, unknown, of wrong shape or dtype, or not finite."""
    wrong = [f"{key} is missing" for key in expected.keys() - found.keys()]
    wrong += [f"{key[:80]} is not part of the network" for key in found.keys() - expected.keys()]
    wrong += [
        f"{key} is {tuple(found[key].shape)} where {tuple(expected[key].shape)} is needed"
        for key in expected.keys() & found.keys()
        if expected[key].shape != found[key].shape
    ]
    wrong += [
        f"{key} holds {_kind(found[key])} where floating-point numbers are needed"
        for key in expected.keys() & found.keys()
        if expected[key].is_floating_point() and found[key].dtype not in FLOATS
    ]
    wrong += [
        f"{key[:80]} is not finite"
        for key, t in found.items()
        if t.dtype in FLOATS and not t.isfinite().all()
    ]
    more = f"; and {len(wrong) - NAMED_MISFITS} more" if len(wrong) > NAMED_MISFITS else ""
    return "; ".join(sorted(wrong)[:NAMED_MISFITS]) + more


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
