from pathlib import Path

import pandas as pd
import pytest
from pyarrow import parquet

from tests.export.people import passers_by
from tests.export.test_tables import check
from vidpose.errors import UsageError
from vidpose.export import export
from vidpose.export import joint_table as module


def test_read_by_pandas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRAMES_AT_ONCE", 7)
    result = passers_by()
    path = export(result, tmp_path / "walk.parquet", "parquet")
    check(pd.read_parquet(path), result, 0)


def test_gaps_are_null(tmp_path: Path) -> None:
    path = export(passers_by(world=False), tmp_path / "walk.parquet", "parquet")
    table = parquet.read_table(path)
    assert table["world_x"].null_count == len(table)
    assert table["x"].null_count == 4 * 17


def test_files_of_other_programs_are_not_recognised_as_ours(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"person": [1]}).to_parquet(path)
    with pytest.raises(UsageError, match="was not written by vidpose"):
        export(passers_by(), path, "parquet")
    path.unlink()
    export(passers_by(), path, "parquet")
    export(passers_by(), path, "parquet")  # our own
