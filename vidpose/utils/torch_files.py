"""Read files of torch.save without executing code in them.

Such a file is a pickle, which may call any function. PyTorch's safe reader (`weights_only`) builds
only tensors and plain containers, and rejects a file that names anything else. For objects that are
known to be stored next to weights, such as a random generator, it gets a stand-in that does
nothing.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch


class Ignored:
    """Stand-in for an object stored next to the weights; runs no code."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


_ARRAYS = "numpy.core", "numpy._core"  # NumPy 1 and 2
NUMPY_ARRAYS = (
    *(f"{core}.multiarray._reconstruct" for core in _ARRAYS),
    *(f"{core}.multiarray.scalar" for core in _ARRAYS),
    *("numpy.ndarray", "numpy.dtype"),
)
"""Names in the pickle of a NumPy array or number."""
NUMPY_RANDOM = (
    "numpy.random.__RandomState_ctor",  # before NumPy 1.17
    "numpy.random._pickle.__randomstate_ctor",
    "numpy.random._pickle.__bit_generator_ctor",
    "numpy.random._mt19937.MT19937",  # from NumPy 1.25 on, with its seed
    "numpy.random.bit_generator.SeedSequence",
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence",
)
"""Names, besides those of arrays, in the pickle of a `numpy.random.RandomState`."""


class UnreadableError(ValueError):
    """Why a file cannot be read, to complete "the file cannot be read: ..."."""


def read(path: Path, ignored: Iterable[str] = ()) -> Any:
    """Read a file of torch.save, in its zip or legacy format, to the CPU.

    Args:
        path: the file.
        ignored: full names of classes and functions to replace by `Ignored`.

    Raises:
        UnreadableError: the file is damaged, was not written by torch.save, or names something
            that is neither a tensor, a plain value nor in `ignored`.
    """
    inert: list[Any] = [(Ignored, name) for name in ignored]
    try:
        with torch.serialization.safe_globals(inert), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other versions of pickle
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file may raise anything
        named = re.search(r"GLOBAL ([\w.]{1,100})", str(error))
        raise UnreadableError(
            f"it asks for {named[1]}, which could run code"
            if named
            else "it is damaged, or not a file of torch.save"
        ) from None
