"""Weights into a network, strictly: every tensor must fit, or the misfits are named."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from vidpose.errors import WeightsError

NAMED_MISFITS = 5
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""What weights are stored in; what is quantised further means nothing without its scales."""


def load_strictly(
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    problem: str,
    key_in_file: Callable[[str], str] = lambda key: key,
) -> None:
    """Give a network its tensors, in its own types; it may be on the meta device.

    The counts of batches, which old files lack and which matter to training at most, may be
    missing.

    Args:
        network: whose weights and statistics are replaced.
        tensors: by the file's keys.
        problem: begins the sentence if they do not fit, such as "FILE is no CPN".
        key_in_file: the network's key of a tensor -> the file's.

    Raises:
        WeightsError: a tensor is missing, unknown, of another shape or type, or not finite.
    """
    own = network.state_dict()
    counts = {key_in_file(k): torch.tensor(0) for k in own if k.endswith("num_batches_tracked")}
    found = counts | dict(tensors)
    if wrong := misfits({key_in_file(key): tensor for key, tensor in own.items()}, found):
        raise WeightsError(f"{problem}: {wrong}.")
    fitting = {key: found[key_in_file(key)].detach().to(t.dtype) for key, t in own.items()}
    # Clones, so that nothing holds on to the memory that a file's tensors may share.
    network.load_state_dict(
        {k: t.clone(memory_format=torch.contiguous_format) for k, t in fitting.items()}, assign=True
    )


def misfits(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """What is missing, unknown, of another shape or type, or not finite; empty if all fits."""
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
