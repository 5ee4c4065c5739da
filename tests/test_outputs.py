from pathlib import Path

import pytest

from vidpose.outputs import lifted_path, result_path


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("link", "link"),
        ("link/", "link"),
        ("walk/take1", "take1"),
        ("walk/take1/", "take1"),
        ("walk/take1/..", "walk"),
        (".", "inside"),
        ("./", "inside"),
        ("..", "outside"),
        ("../", "outside"),
    ],
)
def test_results_of_folders_take_the_name_that_was_given(
    folder: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "outside" / "inside"
    (inside / "walk" / "take1").mkdir(parents=True)
    (inside / "link").symlink_to(inside / "walk" / "take1", target_is_directory=True)
    monkeypatch.chdir(inside)
    assert result_path(Path(folder), "out") == Path("out") / f"{name}.npz"
    assert lifted_path(Path(folder), "out") == Path("out") / f"{name}.npz"
