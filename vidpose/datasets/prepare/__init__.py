"""From the raw downloads of the public datasets to the files that training reads.

One file per dataset; `raw.py` opens the formats they come in, `detections.py` runs our detectors
over their videos.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from vidpose.datasets.prepare import h36m, humaneva, mpi_inf_3dhp

__all__ = ["PREPARE"]

PREPARE: dict[str, Callable[..., Iterable[Path]]] = {
    "h36m": h36m.prepare,
    "mpi_inf_3dhp": mpi_inf_3dhp.prepare,
    "humaneva": humaneva.prepare,
}
"""By dataset: (source, out, *, report, progress) -> the files that were written."""
