"""Provenance marks in the files that `vidpose prepare` writes.

Synthetic data have the file formats of the real datasets, and only the mark tells them apart.
Commands that read marked files say that the data are synthetic, and print no published figures.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

import vidpose
from vidpose.errors import DataError
from vidpose.utils.npz import read_arrays

KEY = "made_by"
SYNTHETIC = "synthetic"
NOT_REAL = "SYNTHETIC data; errors on it say nothing about real people"


def mark(source: str) -> dict[str, Any]:
    """Make the entry for a file that was made from `source`, a dataset or `SYNTHETIC`."""
    return {KEY: np.array(f"vidpose {vidpose.__version__}, prepare {source}")}


def is_synthetic(path: Path) -> bool:
    """Whether a file is marked as synthetic; False if it is missing or unreadable."""
    try:
        made_by = str(read_arrays(path, KEY).get(KEY, ""))
    except DataError:
        return False
    return made_by.endswith(f"prepare {SYNTHETIC}")


def any_synthetic(paths: Iterable[Path]) -> bool:
    return any(is_synthetic(path) for path in paths if path.is_file())
