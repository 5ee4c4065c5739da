from pathlib import Path

import pytest

from vidpose.batch.find import find_videos
from vidpose.errors import VideoError


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", locked)
    with pytest.raises(VideoError, match=r"cannot be read \(Permission denied\)"):
        find_videos([tmp_path], tmp_path / "out")
