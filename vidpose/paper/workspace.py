"""The folders, device and callbacks of an experiment."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence as ListOf
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vidpose.events import Report
from vidpose.utils.files import replacing
from vidpose.utils.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """The folders, device and callbacks of an experiment."""

    out: Path
    """The folder for tables, plots and runs."""
    data: Path
    """Folder with the datasets."""
    device: torch.device
    report: Report
    progress: Progress

    @property
    def runs(self) -> Path:
        return self.out / "runs"

    def path(self, name: str, suffix: str) -> Path:
        return self.out / f"{name}{suffix}"

    def write_csv(self, name: str, rows: ListOf[dict[str, Any]]) -> Path:
        """Write one line per row; columns in the order of their first appearance."""
        path = self.path(name, ".csv")
        columns = list(dict.fromkeys(column for row in rows for column in row))
        with replacing(path) as temporary, open(temporary, "w", newline="") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
        return path


def _cell(value: Any) -> Any:
    """Round floats; NaN and infinity become None, an empty cell."""
    if not isinstance(value, float):
        return value
    return round(value, 6) if math.isfinite(value) else None
