import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from vidpose.cli import main
from vidpose.datasets.marks import NOT_REAL


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.output


def test_synthetic_data_is_written_and_checked(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    options = ("--layout", "humaneva", "--seconds", "0.3")
    code, output = run("prepare", "synthetic", "-o", str(folder), *options)
    assert code == 0
    assert output.splitlines() == [
        f"Written: {folder / 'data_3d_humaneva15.npz'}",
        f"Written: {folder / 'data_2d_humaneva15_gt.npz'}",
    ]
    code, output = run("doctor", "--data", str(folder))
    assert code == 0
    assert output.splitlines() == [
        f"ok  humaneva: data_3d_humaneva15.npz     {NOT_REAL}: 6 subjects, 60 takes",
        f"ok  humaneva: data_2d_humaneva15_gt.npz  {NOT_REAL}: 1,530 frames in 180 views",
    ]
    (folder / "data_2d_humaneva15_gt.npz").write_bytes(b"PK")
    code, output = run("doctor", "--data", str(folder), "--json")
    assert code == 1
    report = json.loads(output)
    assert report["well"] is False
    assert report["checks"][1]["state"] == "broken"
    assert report["checks"][1]["fix"] == f"vidpose prepare humaneva SOURCE -o '{folder}'"


def test_subjects_and_actions(tmp_path: Path) -> None:
    options = ("--seconds", "0.2", "--subjects", "S1, S9", "--actions", "all")
    code, output = run("prepare", "synthetic", "-o", str(tmp_path), *options)
    assert code == 0
    code, output = run("doctor", "--data", str(tmp_path))
    assert code == 1
    assert "2 subjects, 60 takes; no S5, S6" in output
    assert "2,400 frames in 240 views" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("doctor", "--data", "nowhere"), "nowhere is not a folder"),
        (("prepare", "synthetic", "--subjects", "S2"), "S2: choose among S1"),
        (("prepare", "synthetic", "--seconds", "-1"), "--seconds -1.0: give 0.1 or more"),
    ],
)
def test_what_makes_no_sense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, output = run(*arguments)
    assert code == 2
    assert message in output
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_dataset(tmp_path: Path) -> None:
    code, output = run("doctor", "--data", str(tmp_path))
    assert code == 1
    assert "no file of a known dataset" in output
