"""Conversion of the public datasets' raw downloads to the files that training reads.

One module per dataset; `raw.py` reads the raw formats, `detections.py` runs vidpose's detectors on
the videos.
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
"""By dataset: (source, out, *, report, progress) -> the files written."""
