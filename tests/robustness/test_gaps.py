"""Gaps between frames: they are told, and nothing grows with them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner

import vidpose
from tests.clips import make_clip
from tests.fakes import STANDING, tiny_weights, use_fake_detector
from tests.results import make_result
from tests.robustness.videos import pictures
from vidpose.batch.find import find_videos
from vidpose.cli import main
from vidpose.detect.base import Detections
from vidpose.errors import UsageError
from vidpose.postprocess.quality import quality_report, quality_text
from vidpose.postprocess.root_trajectory import root_positions
from vidpose.postprocess.smoothing import METHODS
from vidpose.skeleton import COCO17
from vidpose.tracking.tracker import Tracker
from vidpose.utils.gaps import average_rate, gaps_sentence, shown_times
from vidpose.video import VideoReader

BURSTS = np.array([0.0, 0.1, 0.2, 1e8, 1e8 + 0.1, 1e8 + 0.2], np.float64)
LAPSE = np.array([0, 60, 120, 180, 240], np.float64)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return tiny_weights(tmp_path / "tiny.safetensors")


def _ids(times: np.ndarray) -> list[int]:
    tracker = Tracker()
    person = np.array([STANDING * 100 + 50], np.float32)
    found = Detections(person, np.full((1, 17), 0.9, np.float32), COCO17)
    return [tracker.update(found, float(time))[0] for time in times]


def test_tracks_end_where_a_video_pauses() -> None:
    assert _ids(BURSTS) == [1, 1, 1, 2, 2, 2]


def test_tracks_end_at_every_pause() -> None:
    frames = np.arange(10) / 30
    alone = [100.0, 200.0]  # one frame between two pauses
    assert _ids(np.array([*frames, *alone, 200.1])) == [1] * 10 + [2, 3, 3]
    # The first step may be a time-lapse's; a pause after it is known.
    assert _ids(np.array([0, 60, 60.1, 120, 120.1])) == [1, 1, 1, 2, 2]


def test_a_video_may_become_a_time_lapse() -> None:
    ids = _ids(np.array([*np.arange(30) / 30, *np.arange(1, 30) * 60.0]))
    assert len(set(ids[-20:])) == 1


def test_people_of_a_time_lapse_stay_who_they_are() -> None:
    assert _ids(LAPSE) == [1] * 5


def test_the_rate_leaves_out_pauses() -> None:
    assert average_rate(BURSTS) == pytest.approx(10, rel=1e-6)
    assert average_rate(LAPSE) == pytest.approx(1 / 60)
    assert average_rate(BURSTS[:1]) is None


def test_gaps_are_told_from_the_first_frame() -> None:
    assert gaps_sentence(LAPSE / 600) is None
    assert gaps_sentence(500.0 + BURSTS, 500.0) == (
        "There is a gap after 0:00.2, of 100,000,000 s; poses are not "
        "interpolated or smoothed across."
    )
    several = gaps_sentence(LAPSE)
    assert several is not None
    assert several.startswith("There are 4 gaps between frames, the first after 0:00.0, of up to")


def test_long_pauses_are_shown_for_a_second() -> None:
    np.testing.assert_allclose(shown_times(BURSTS), [0, 0.1, 0.2, 1.2, 1.3, 1.4], atol=1e-6)
    assert shown_times(LAPSE) is LAPSE


@pytest.mark.parametrize("method", METHODS)
def test_smoothing_does_not_grow_with_uneven_steps(method: str) -> None:
    """A hundred frames in 5 ms, and then some half a second apart."""
    times = np.concatenate([np.arange(100) * 5e-5, 0.4 + np.arange(100) * 0.4])
    values = np.random.default_rng(0).normal(size=(200, 1, 3))
    out = METHODS[method](values, times, 1.0)
    assert np.isfinite(out).all()


def test_places_are_found_in_frames_that_are_hardly_apart() -> None:
    rng = np.random.default_rng(0)
    joints = rng.normal(0, 0.4, (12, 17, 3))
    rays = (joints[..., :2] + [0.5, 0.2]) / (joints[..., 2:] + 5)
    root = root_positions(joints, rays, np.ones((12, 17)), np.linspace(0, 1e-5, 12))
    np.testing.assert_allclose(root, np.tile([0.5, 0.2, 5], (12, 1)), atol=0.1)


def test_a_video_with_a_pause_goes_all_the_way(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    ticks = [*range(0, 330, 33), *range(90_000_000, 90_000_330, 33)]
    video = make_clip(tmp_path / "in.mp4", ticks=ticks, time_base=Fraction(1, 1000))
    command = ["infer", video, "-o", tmp_path / "out", "--weights", weights, "--render"]
    command += ["--view-html", "--export", "glb,csv", "--axes", "camera"]
    done = CliRunner().invoke(main, [str(part) for part in command])
    assert done.exit_code == 0, done.output
    assert "There is a gap after 0:00.3, of 90,000 s" in done.stderr
    result = vidpose.load(tmp_path / "out" / "in.npz")
    assert (result.people, result.frames) == (2, 20)
    assert result.fps == pytest.approx(1000 / 33)
    assert result.timestamps[-1] == pytest.approx(90_000.297)
    assert "There is a gap" in result.meta["warnings"][0]
    assert "shown for 1 s" in done.stdout
    with VideoReader(tmp_path / "out" / "in.mp4") as overlay:
        times = [frame.time_s for frame in overlay]
    assert len(times) == 20
    assert times[-1] == pytest.approx(0.297 + 1 + 0.297, abs=1e-3)


def test_moments_are_told_from_the_first_frame(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream may begin at any time."""
    use_fake_detector(monkeypatch, lambda index: not 10 <= index < 20)
    ticks = range(582 * 30, 582 * 30 + 40)
    video = make_clip(tmp_path / "in.ts", ticks=ticks, time_base=Fraction(1, 30))
    result = vidpose.infer(video, tmp_path, weights=weights)
    assert result.timestamps[0] >= 582
    assert result.seconds[0] == 0
    moments = result.meta["trust"]["worst_moments"]
    assert moments
    assert all(0 <= moment["time_s"] < 40 / 30 for moment in moments)
    again = vidpose.lift(result.keypoints_2d[0], result.frame_size, 30, weights=weights)
    assert again.shape == (40, 17, 3)
    np.testing.assert_array_equal(vidpose.load(tmp_path / "in.npz").seconds, result.seconds)


# --- folders -----------------------------------------------------------------------------------


def test_a_folder_of_pictures_is_worked_on(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    folder = pictures(tmp_path)
    command = ["infer", str(folder), "-o", str(tmp_path / "out"), "--weights", str(weights)]
    done = CliRunner().invoke(main, [*command, "--fps", "20", "--render", "--view-html"])
    assert done.exit_code == 0, done.output
    result = vidpose.load(tmp_path / "out" / "pictures.npz")
    assert (result.frames, result.fps) == (12, 20.0)
    with av.open(str(tmp_path / "out" / "pictures.mp4")) as container:
        assert container.streams.video[0].frames == 12
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 2
    assert "give their frame rate with --fps" in done.output
    many = [*command, "--fps", "20", "--jobs", "1"]
    done = CliRunner().invoke(main, [*many, str(pictures(_inside(tmp_path)))])
    assert done.exit_code == 1  # two of one name


@pytest.mark.parametrize("fps", [0.01, 60.0])
@pytest.mark.parametrize("kind", ["folder", "mjpeg"])
def test_pictures_are_found_again_at_the_rate_that_was_given(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, kind: str, fps: float
) -> None:
    use_fake_detector(monkeypatch)
    if kind == "folder":
        source = pictures(tmp_path)
        for n in (4, 5, 9):
            (source / f"image{n}.png").write_bytes(b"no picture")
    else:
        source = make_clip(tmp_path / "a.mjpeg", codec="mjpeg", pix_fmt="yuvj420p")
    vidpose.infer(source, tmp_path / "out", weights=weights, fps=fps, render=True)
    result = vidpose.load(tmp_path / "out" / f"{source.stem}.npz")
    assert result.fps == fps
    assert result.timestamps[-1] == pytest.approx(11 / fps)


def _inside(folder: Path) -> Path:
    inner = folder / "inner"
    inner.mkdir()
    return inner


def test_a_video_takes_no_rate(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    with pytest.raises(UsageError, match="leave out --fps"):
        vidpose.infer(make_clip(tmp_path / "in.mp4"), weights=weights, fps=30)


def test_folders_of_videos_and_of_pictures(tmp_path: Path) -> None:
    folder = pictures(tmp_path)
    out = Path("out")
    assert find_videos([folder], out) == ([(folder, out / "pictures.npz")], False)
    assert find_videos([tmp_path], out) == ([(folder, out / "pictures.npz")], True)
    clip = make_clip(folder / "clip.mp4")
    assert find_videos([folder], out) == ([(clip, out / "clip.npz")], True)


# --- what nobody saw ---------------------------------------------------------------------------


def test_legs_out_of_the_picture_are_told() -> None:
    result = make_result(people=2, frames=8)
    for joint in ("RKnee", "RFoot"):
        result.scores_2d[0, :, result.joint_names.index(joint)] = 0
    foot = result.joint_names.index("LFoot")
    result.keypoints_2d[0, 1:, foot, 1], result.scores_2d[0, :, foot] = 480.5, 0.2
    sure = result.joint_names.index("LKnee")
    result.keypoints_2d[0, :, sure, 1], result.scores_2d[0, :, sure] = 480.5, 0.9
    report = quality_report(result)
    first, second = report["people"]
    assert first["unseen_joints"] == ["RKnee", "RFoot", "LFoot"]
    assert "unseen_joints" not in second
    assert (
        "Person 1: not visible in most frames, so guessed in 3D: right knee, right foot, left foot."
        in quality_text(report)
    )
