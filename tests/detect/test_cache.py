import os
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidpose.detect.base import Detections, FrameDetections
from vidpose.detect.cache import DetectionCache, Resumed, remove_leftovers
from vidpose.skeleton import COCO17

KEY: dict[str, Any] = {"source": "abc", "options": {"start": None, "people": 8}}


def frame(index: int) -> FrameDetections:
    """With 0, 1 or 2 people."""
    random = np.random.default_rng(index)
    keypoints = random.uniform(0, 99, (index % 3, 17, 2)).astype(np.float32)
    scores = random.random((index % 3, 17)).astype(np.float32)
    shift = np.full_like(keypoints, np.nan if index % 2 else 0.5)
    found = Detections(keypoints, scores, COCO17, scores > 0.5, shift)
    return FrameDetections(index + 5, index / 30, found)


def fill(target: Path, key: dict[str, Any] = KEY) -> DetectionCache:
    """Two stretches of three frames, and one frame that is not written."""
    cache = DetectionCache(target, key, COCO17)
    for index in range(7):
        cache.add(frame(index))
        if index % 3 == 2:
            cache.write({"people": [[0.1, float("inf")]], "frames": index + 1})
    cache.close()
    return cache


def resumed(target: Path, key: dict[str, Any] = KEY) -> Resumed:
    """What another run would resume; the cache is closed again."""
    with closing(DetectionCache(target, key, COCO17)) as cache:
        return cache.resumed


def test_written_detections_are_restored_bit_for_bit(tmp_path: Path) -> None:
    fill(tmp_path / "a.npz")
    cache = DetectionCache(tmp_path / "a.npz", KEY, COCO17)
    assert cache.resumed == Resumed(6, {"people": [[0.1, float("inf")]], "frames": 6}, None)
    for index, back in enumerate(cache.detections()):
        assert (back.frame_index, back.time_s) == (index + 5, index / 30)
        for name in ("keypoints", "scores", "disputed", "shift"):
            expected = getattr(frame(index).detections, name)
            np.testing.assert_array_equal(getattr(back.detections, name), expected)
    assert index == 5

    cache.write(None, ["the video is cut off"])  # it had ended just there
    cache.close()
    assert resumed(tmp_path / "a.npz") == Resumed(6, None, ("the video is cut off",))
    assert [path.name for path in tmp_path.iterdir()] == [".a.partial"]
    cache.remove()
    assert list(tmp_path.iterdir()) == []


def test_frames_written_after_opening_are_not_resumed(tmp_path: Path) -> None:
    """The writer is another thread; it may write before the first frame is read back."""
    fill(tmp_path / "a.npz")
    cache = DetectionCache(tmp_path / "a.npz", KEY, COCO17)
    earlier = cache.detections()
    cache.add(frame(6))
    cache.write(None)
    assert [back.frame_index for back in earlier] == [index + 5 for index in range(6)]
    assert (cache.resumed.frames, cache.frames) == (6, 7)
    cache.close()
    assert resumed(tmp_path / "a.npz").frames == 7


def test_a_cache_of_an_older_format_is_not_used(tmp_path: Path) -> None:
    """It has no `shift`."""
    cache = fill(tmp_path / "a.npz")
    for path in cache.folder.iterdir():
        with np.load(path) as archive:
            entries = dict(archive)
        entries["key"] = np.array(
            str(entries["key"]).replace("vidpose-partial/3", "vidpose-partial/2")
        )
        del entries["shift"]
        np.savez(path, **entries)
    assert resumed(tmp_path / "a.npz") == Resumed()


def test_the_cache_of_another_job_is_not_used(tmp_path: Path) -> None:
    fill(tmp_path / "a.npz")
    other = fill(tmp_path / "a.npz", KEY | {"source": "def"})
    assert other.frames == 6
    assert resumed(tmp_path / "a.npz") == Resumed()
    assert resumed(tmp_path / "b.npz") == Resumed()
    assert len(list(other.folder.iterdir())) == 2


def test_nothing_is_resumed_after_a_damaged_stretch(tmp_path: Path) -> None:
    cache = fill(tmp_path / "a.npz")
    second = cache.folder / "000000003.npz"
    whole = second.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"x" * 99, whole.replace(b"\x3e", b"\x3f")):
        second.write_bytes(damaged)
        assert resumed(tmp_path / "a.npz").frames == 3
    second.unlink()
    assert resumed(tmp_path / "a.npz").frames == 3


def test_nothing_is_executed(tmp_path: Path) -> None:
    cache = fill(tmp_path / "a.npz")
    first = cache.folder / "000000000.npz"
    with np.load(first) as archive:
        entries = dict(archive)
    np.savez(first, **(entries | {"keypoints": np.array([print], object)}))
    assert resumed(tmp_path / "a.npz") == Resumed()


@pytest.mark.parametrize("name", ["x" * 250, "歩" * 83, ".hidden", "10:30"])
def test_any_name_will_do(name: str, tmp_path: Path) -> None:
    assert fill(tmp_path / f"{name}.npz").frames == 6


def test_long_names_that_begin_alike_have_folders_of_their_own(tmp_path: Path) -> None:
    for name in ("x" * 120 + "1", "x" * 120 + "2"):
        fill(tmp_path / f"{name}.npz")
    assert len(list(tmp_path.iterdir())) == 2


def test_removing_an_unwritten_cache_leaves_that_of_another_job(tmp_path: Path) -> None:
    fill(tmp_path / "a.npz")
    short = DetectionCache(tmp_path / "a.npz", KEY | {"options": {"start": 1.0}}, COCO17)
    short.add(frame(0))
    short.remove()
    short.close()
    assert resumed(tmp_path / "a.npz").frames == 6


def test_leftovers_are_removed_unless_newer_than_the_result(tmp_path: Path) -> None:
    target = tmp_path / "a.npz"
    cache = fill(target)
    target.touch()
    os.utime(target, (1, 1))
    remove_leftovers(target)
    assert cache.folder.exists()
    os.utime(target)
    remove_leftovers(target)
    assert not cache.folder.exists()
    remove_leftovers(target)
