"""The bounds of `one_process.py` detect growth, and `kills.py` detects partial files."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.clips import make_clip
from vidpose.video import VideoReader

Import = Callable[[str], Any]


def watched(module: Any, rows: dict[str, tuple[float, int]]) -> Any:
    watch = module.Watch()
    watch.rows = rows
    return watch


@pytest.mark.parametrize(
    ("last", "wrong"),
    [
        ((1050.0, 9), []),
        ((1050.0, 8), []),
        ((1050.0, 10), ["1 more files are open after 200 clips than after 15."]),
        ((1070.0, 9), ["Memory grew by 70 MB from clip 100 to 200, over 60."]),
    ],
)
def test_bounds_after_many_clips(module: Import, last: tuple[float, int], wrong: list[str]) -> None:
    one = module("one_process")
    rows = {"15": (900.0, 9), "100": (1000.0, 9), "200": last}
    assert list(one.failures_of_clips(watched(one, rows), 200)) == wrong


@pytest.mark.parametrize(
    ("whole", "result", "wrong"),
    [
        ((1090.0, 9), (1440.0, 9), 0),
        ((1110.0, 9), (1440.0, 9), 1),
        ((1090.0, 9), (1460.0, 9), 1),
        ((1090.0, 10), (1440.0, 11), 2),
    ],
)
def test_bounds_of_a_long_video(
    module: Import, whole: tuple[float, int], result: tuple[float, int], wrong: int
) -> None:
    one = module("one_process")
    rows = {"10 %": (1000.0, 9), "100 %": whole, "the result": result}
    assert len(list(one.failures_of_long(watched(one, rows), 200.0))) == wrong


def test_open_files_are_counted(module: Import, tmp_path: Path) -> None:
    watch = module("one_process").Watch()
    watch.look("before")
    with open(tmp_path / "a", "w"), open(tmp_path / "b", "w"):
        watch.look("open")
    watch.look("after")
    assert watch.opened("before", "open") == 2
    assert watch.opened("before", "after") == 0


def test_recorded_fractions_of_a_long_video(module: Import) -> None:
    one = module("one_process")
    watch = watched(one, {})
    progress = one.along(watch)
    assert list(progress(range(40), 40, "detecting")) == list(range(40))
    assert list(progress(range(40), 40, "rendering")) == list(range(40))
    assert list(watch.rows) == ["10 %", "25 %", "50 %", "75 %", "100 %"]


def test_clips_and_the_long_video(module: Import, tmp_path: Path) -> None:
    one = module("one_process")
    video = make_clip(tmp_path / "a.mp4", frames=60, rate=Fraction(30))
    made = list(one.clips(video, tmp_path, 6))
    for clip, width in zip(made, (*one.SIZES, one.SIZES[0]), strict=True):
        with VideoReader(clip) as reader:
            assert reader.size[0] == width
            assert len(list(reader)) == 15
    assert made[0].read_bytes() != made[5].read_bytes()
    with VideoReader(one.long_video(video, tmp_path, minutes=0.2)) as reader:
        times = [frame.time_s for frame in reader]
    assert len(times) == 60
    assert times[-1] == pytest.approx(59 / one.LONG_FPS, abs=0.05)


def test_partial_and_leftover_files_are_detected(module: Import, tmp_path: Path) -> None:
    kills = module("kills")
    script = (
        "import sys, time, pathlib; out = pathlib.Path(sys.argv[1]); "
        "(out / 'a').write_text('half'); time.sleep({pause}); (out / 'a').write_text('whole'); "
        "{more}"
    )

    def victim(pause: float, more: str) -> Any:
        code = script.format(pause=pause, more=more)
        return kills.Victim(lambda out: kills.program(code, out), final=("a",))

    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / "a").write_text("whole")
    # It writes in place, so the kill leaves half of the file.
    assert kills._kill_once(victim(1, ""), tmp_path / "1", whole, 0.0, True) == (True, False)
    left = "(out / str(time.time_ns())).touch()"
    assert not kills._kill_once(victim(0, left), tmp_path / "2", whole, 0.0, False)[1]
    good = kills.program(
        "import os, sys; out = sys.argv[1]; open(out + '/.b', 'w').write('whole'); "
        "os.replace(out + '/.b', out + '/a')"
    )
    right = kills.Victim(lambda out: [*good, str(out)], final=("a",))
    assert kills._kill_once(right, tmp_path / "3", whole, 0.0, True)[1]
    assert os.listdir(tmp_path / "3") == ["a"]
