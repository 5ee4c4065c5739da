"""A wider network that computes the same function.

Net2Net (T. Chen, I. Goodfellow, J. Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer",
ICLR 2016): every channel is copied, and what reads the copies shares the weight among them.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from vidpose.models.base import LiftingModel
from vidpose.models.blocks import Attention, TransformerConfig

DIFFERENCE = 0.3
"""Standard deviation of what is added to the weights of a channel's copies before its mean is
subtracted, as a fraction of the weights'. It cancels out as long as the copies are equal; without
it, they would get equal gradients and stay equal."""


def can_widen(config: object, wanted: object) -> bool:
    """Whether a network of this config can be widened to the embedding of the other one."""
    if not (isinstance(config, TransformerConfig) and isinstance(wanted, TransformerConfig)):
        return False
    times, rest = divmod(wanted.embed_dim, config.embed_dim)
    # The width inside a block is rounded down, which must not lose a part of a channel.
    return times > 1 and rest == 0 and float(config.mlp_ratio * config.embed_dim).is_integer()


@torch.no_grad()
def widened(model: LiftingModel, embed_dim: int) -> LiftingModel:
    """Make a wider network that computes the same poses as `model`, except for rounding.

    Args:
        model: a transformer.
        embed_dim: width per joint or token of the new one, see `can_widen`.
    """
    times = embed_dim // model.config.embed_dim
    wide = type(model)(**vars(replace(model.config, embed_dim=embed_dim)))
    generator = torch.Generator().manual_seed(0)
    narrow = dict(model.named_modules())
    for name, module in wide.named_modules():
        for key, tensor in module.named_parameters(recurse=False):
            copied = before = narrow[name].get_parameter(key)
            for axis, (few, many) in enumerate(zip(before.shape, tensor.shape, strict=True)):
                if few != many:
                    copied = copied.repeat_interleave(times, axis)
            is_matrix = isinstance(module, nn.Linear) and key == "weight"
            if is_matrix and tensor.shape[1] != before.shape[1]:  # it reads copies
                shares = copied.unflatten(1, (-1, times)) / times
                apart = torch.randn(shares.shape, generator=generator)
                apart -= apart.mean(dim=2, keepdim=True)
                copied = (shares + DIFFERENCE * before.std() * apart).flatten(1)
            tensor.copy_(copied)
    for module in wide.modules():
        if isinstance(module, Attention):
            # The sum over a head's channels grows `times`-fold, its scaling by the square root.
            queries = slice(0, module.proj.in_features)
            module.qkv.weight[queries] *= times**-0.5
            module.qkv.bias[queries] *= times**-0.5
    return wide
