"""Comparison of two checkouts of the code; arrays that differ are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidpose.errors import UsageError, VidposeError

Import = Callable[[str], Any]
CLI = """
import json, pathlib, numpy
def main(arguments, standalone_mode):
    name, video, _, out, *options = arguments
    assert name == "infer", arguments
    if "--fail" in options:
        raise SystemExit("no such detector")
    pathlib.Path(out).mkdir()
    joints = numpy.full((1, 6, 17, 3), VALUE, numpy.float32)
    times, meta = numpy.arange(6.0), json.dumps({"checkout": __file__})
    numpy.savez(out + "/clip.npz", joints_3d=joints, timestamps=times, meta=meta)
"""


def checkout(folder: Path, value: str) -> Path:
    """A fake vidpose whose result has `value` everywhere."""
    (folder / "vidpose").mkdir(parents=True)
    (folder / "vidpose" / "__init__.py").touch()
    (folder / "vidpose" / "cli.py").write_text(CLI.replace("VALUE", value))
    return folder


def test_equal_checkouts_have_equal_arrays(module: Import, tmp_path: Path) -> None:
    both = {name: checkout(tmp_path / name, "numpy.nan") for name in ("old", "new")}
    table, unequal = module("compare_checkouts").compare(both, tmp_path / "v.mp4", 1, [])
    assert unequal == []
    header, _, *rows = table.splitlines()
    assert header == "| median | old | new | new / old | per round |"
    assert [row.split(" | ")[0] for row in rows] == [
        "| frames/s", "| CPU time, s", "| peak memory, MB",
    ]  # fmt: skip
    assert 5 < float(rows[2].split(" | ")[1]) < 5000


def test_arrays_that_differ_are_named(
    module: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    old, new = checkout(tmp_path / "old", "1"), checkout(tmp_path / "new", "1.5")
    video = tmp_path / "v.mp4"
    video.touch()
    command = ["x", str(old), "--new", str(new), "--video", str(video), "--runs", "1"]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as stopped:
        module("compare_checkouts").main()
    assert stopped.value.code == 1
    assert "Arrays that differ: joints_3d (by up to 0.5)." in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", [*command, "--", "--fail"])
    with pytest.raises(VidposeError, match=r"failed in .*old:\nno such detector"):
        module("compare_checkouts").main()


def test_the_sign_of_zero_and_missing_arrays_count_as_differences(module: Import) -> None:
    different = module("compare_checkouts").different
    zero = np.zeros(3, np.float32)
    assert different({"a": zero}, {"a": -zero}) == ["a (by up to 0)"]
    assert different({"a": zero}, {}) == ["a (only in the old result)"]
    assert different({"a": zero}, {"a": zero.astype(float)}) == [
        "a (float32 (3,) and float64 (3,))"
    ]
    assert different({"a": np.array(["x"])}, {"a": np.array(["y"])}) == ["a"]


def test_a_folder_without_the_code_is_an_error(
    module: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["x", str(tmp_path)])
    with pytest.raises(UsageError, match="is no checkout of vidpose"):
        module("compare_checkouts").main()
