"""Parquet: a columnar table, written with pyarrow; unknown numbers are null."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vidpose.errors import MissingDependencyError
from vidpose.export.joint_table import Table, joint_table
from vidpose.options import ExportOptions
from vidpose.poses import Pose3D

MARK = b"vidpose joint table"
"""In the metadata at the end of the file."""


def check_installed() -> None:
    """Raise a MissingDependencyError if pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise MissingDependencyError(
            "Parquet files need pyarrow, which is not installed: pip install 'vidpose[parquet]'"
        ) from None


def write(result: Pose3D, path: Path, name: str, options: ExportOptions) -> None:
    """Write everybody's joints, see `joint_table`."""
    write_table(joint_table(result), path)


def write_table(parts: Iterable[Table], path: Path) -> None:
    """Write a table from one or more parts."""
    import pyarrow as pa
    from pyarrow import parquet

    writer: Any = None
    try:
        for part in parts:
            table = pa.table(
                {name: pa.array(column, from_pandas=True) for name, column in part.items()}
            )
            table = table.replace_schema_metadata({"made_by": MARK})
            writer = writer or parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
