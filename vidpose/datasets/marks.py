"""What the files that `vidpose prepare` writes say about where they come from.

Synthetic people come in the very files of the real datasets. Their mark is what tells them apart:
whoever looks at them, trains or measures on them is told, and published figures are left out.
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
NOT_REAL = "SYNTHETIC data, whose numbers mean nothing for real people"


def mark(source: str) -> dict[str, Any]:
    """The entry of a file that was made from `source`, a dataset or `SYNTHETIC`."""
    return {KEY: np.array(f"vidpose {vidpose.__version__}, prepare {source}")}


def is_synthetic(path: Path) -> bool:
    """Whether a file has the mark of synthetic data; False if it is missing or unreadable."""
    try:
        made_by = str(read_arrays(path, KEY).get(KEY, ""))
    except DataError:
        return False
    return made_by.endswith(f"prepare {SYNTHETIC}")


def any_synthetic(paths: Iterable[Path]) -> bool:
    return any(is_synthetic(path) for path in paths if path.is_file())
