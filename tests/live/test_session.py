"""Live sessions on files, a loopback stream and a test pattern as a camera."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vidpose
from tests.clips import make_clip
from tests.fakes import FakeDetector, tiny_weights, use_fake_detector
from tests.live.windows import FakeWindow
from tests.streams import sending
from vidpose import pipeline
from vidpose.detect.base import Detections
from vidpose.errors import NoPersonError, UsageError, VideoError, VidposeError
from vidpose.events import Event
from vidpose.live import live
from vidpose.options import InferOptions, LiveOptions
from vidpose.poses import Pose3D
from vidpose.render import render_video
from vidpose.video import Frame, VideoReader, capture

Run = Callable[..., Pose3D | None]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a session with tiny weights; its messages are in `run.said`."""
    use_fake_detector(monkeypatch)
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    said: list[Event] = []

    def session(source: Any, out: Any = None, **options: Any) -> Pose3D | None:
        window = options.pop("window", None)
        chosen = {"headless": window is None, **options.pop("live", {})}
        more = {} if window is None else {"open_window": window}
        return live(
            str(source),
            out,
            options=InferOptions.of(weights=weights, **options),
            live_options=LiveOptions(**chosen),
            report=said.append,
            **more,
        )

    session.said = said  # type: ignore[attr-defined]
    return session


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "a.mp4", frames=45, rate=Fraction(30))


@pytest.fixture
def endless_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """Camera 0 is an endless test pattern that delivers frames without delay."""
    picture = "testsrc=size=64x48:rate=30"
    monkeypatch.setattr(capture, "_device", lambda number: (picture, "lavfi", {}))


def slow_detector(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    class Slow(FakeDetector):
        def detect(self, frames: Iterable[Frame]) -> Iterator[Detections]:
            for found in super().detect(frames):
                time.sleep(seconds)
                yield found

    monkeypatch.setattr(pipeline, "open_detector", lambda *_: (Slow(lambda n: True), "slow"))


EVERY_FRAME = {"realtime": False}


def test_every_frame_of_a_file_gives_the_same_as_infer(run: Run, tmp_path: Path) -> None:
    # It begins at 2 s and pauses, so that its rate is not frames by seconds.
    ticks = [*range(60, 90), *range(240, 255)]
    clip = make_clip(tmp_path / "a.mkv", rate=Fraction(30), ticks=ticks)
    result = run(clip, tmp_path / "out", live=EVERY_FRAME)
    assert result is not None
    (path,) = (tmp_path / "out").iterdir()
    assert path.name.startswith("live-20")
    saved = vidpose.load(path)
    whole = vidpose.infer(clip, weights=tmp_path / "tiny.safetensors")
    for name in ("joints_3d", "root_3d", "keypoints_2d", "timestamps", "frame_indices", "observed"):
        np.testing.assert_allclose(getattr(saved, name), getattr(whole, name), atol=1e-6)
    assert (saved.timestamps[0], saved.first_frame_s) == pytest.approx((2, 2))
    assert (saved.first_frame_s, saved.fps) == (whole.first_frame_s, whole.fps)
    assert saved.meta["source"] == whole.meta["source"]
    assert saved.meta["options"] == whole.meta["options"]
    about = saved.meta["live"]
    assert about["source"] == str(clip)
    assert about["dropped_frames"] == 0
    assert not about["realtime"]


def test_a_file_plays_at_its_own_rate_and_a_slow_detector_drops_its_oldest_frames(
    run: Run, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_detector(monkeypatch, 0.2)
    began = time.monotonic()
    result = run(clip)
    assert result is not None
    assert time.monotonic() - began >= 44 / 30
    dropped = result.meta["live"]["dropped_frames"]
    assert dropped + result.frames == 45
    assert dropped > 10
    np.testing.assert_allclose(result.timestamps, result.frame_indices / 30, atol=1e-6)
    assert result.frame_indices[-1] == 44  # it ends with the newest
    assert result.fps == pytest.approx((result.frames - 1) / result.timestamps[-1])


def test_a_window_shows_people_and_q_ends(run: Run, endless_camera: None, tmp_path: Path) -> None:
    def press_q(window: FakeWindow, n: int) -> None:
        window.closed = n == 5

    window = FakeWindow(press_q)
    result = run("0", tmp_path / "a.npz", window=window, live={"delay": 0.0})
    assert window.left
    assert result is not None
    assert (tmp_path / "a.npz").is_file()
    assert result.meta["live"]["source"] == "camera 0"
    assert result.meta["source"] is None
    assert len({image.shape for image in window.shown}) == 1
    assert window.shown[0].shape[1] <= 320
    assert "camera 0: " in window.titles[-1]
    assert "Press Q to stop." in window.titles[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_leave_a_whole_result(
    number: signal.Signals, run: Run, endless_camera: None, tmp_path: Path
) -> None:
    def kill(window: FakeWindow, n: int) -> None:
        if n == 3:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    result = run("0", tmp_path / "a.npz", window=FakeWindow(kill))
    assert signal.getsignal(number) == before
    assert result is not None
    assert vidpose.load(tmp_path / "a.npz").frames == result.frames


def test_it_can_run_in_another_thread(run: Run, clip: Path) -> None:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(run(clip, live=EVERY_FRAME)))
    thread.start()
    thread.join()
    assert results[0].frames == 45


def test_a_pulled_cable_keeps_the_result(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "READ_S", 0.5)
    content = make_clip(
        tmp_path / "a.ts", frames=60, noise=True, codec_options={"g": "5", "bf": "0"}
    ).read_bytes()
    with sending(content, hang=True) as address:
        result = run(address, tmp_path / "a.npz")
    assert result is not None
    assert (tmp_path / "a.npz").is_file()
    (warning,) = result.meta["warnings"]
    assert "has stopped sending pictures (nothing comes)" in warning
    assert warning in [event.message for event in run.said]  # type: ignore[attr-defined]


def test_the_recorded_video_is_the_source_of_the_result(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_detector(monkeypatch, 0.1)
    late = make_clip(tmp_path / "a.mkv", rate=Fraction(30), ticks=range(60, 105))
    result = run(late, tmp_path / "b.npz", live={"save_video": True})
    assert result is not None
    video = tmp_path / "b.source.mp4"
    assert result.meta["source"]["path"] == str(video)
    assert result.meta["live"]["dropped_frames"] > 0
    with VideoReader(video) as reader:
        times = [frame.time_s for frame in reader]
    np.testing.assert_allclose(times, result.timestamps, atol=1e-4)
    assert result.first_frame_s == 0
    assert result.frame_indices.tolist() == list(range(len(times)))
    render_video(result, video, tmp_path / "drawn.mp4")
    with pytest.raises(UsageError, match="was not written by vidpose"):
        render_video(result, video, video)


def test_end_ends_it(run: Run, endless_camera: None) -> None:
    result = run("0", end=0.5)
    assert result is not None
    assert np.ptp(result.timestamps) < 0.5


def test_frames_dropped_before_the_end_are_counted(
    run: Run, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_detector(monkeypatch, 0.6)
    result = run(clip, end=0.3)
    assert result is not None
    dropped = result.meta["live"]["dropped_frames"]
    assert dropped > 0
    assert dropped + result.frames == 9  # and none of the later ones


def test_nothing_is_recorded_unless_asked(run: Run, clip: Path, tmp_path: Path) -> None:
    window = FakeWindow()
    assert run(clip, tmp_path / "out", window=window, live={"record": False}) is None
    assert window.shown
    assert not (tmp_path / "out").exists()


def test_a_source_that_cannot_be_opened_is_the_only_message(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    for source in (tmp_path / "text.mp4", "tcp://127.0.0.1:9"):
        with pytest.raises(VideoError):
            run(source)
    assert run.said == []  # type: ignore[attr-defined]


def test_nobody_there(
    run: Run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch, lambda index: False)
    window = FakeWindow()
    with pytest.raises(NoPersonError, match="Nobody was found in the 45 frames of"):
        run(clip, tmp_path / "out", window=window, live=EVERY_FRAME)
    assert window.shown  # the picture is shown all the same
    assert not (tmp_path / "out").exists()


def test_an_error_during_a_session_keeps_the_result(
    run: Run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sees(index: int) -> bool:
        if index == 30:
            raise VideoError("the detector is on fire")
        return True

    use_fake_detector(monkeypatch, sees)
    with pytest.raises(VidposeError, match="on fire"):
        run(clip, tmp_path / "a.npz", live=EVERY_FRAME | {"save_video": True})
    result = vidpose.load(tmp_path / "a.npz")
    assert result.frames == 30
    render_video(result, tmp_path / "a.source.mp4", tmp_path / "drawn.mp4")


def test_fewer_people_are_kept_when_memory_is_short(
    run: Run, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vidpose.live import session

    asked: list[int] = []

    def short(people: int, frames: int, *_: Any) -> None:
        asked.append(people)
        if people > 2:
            raise VidposeError("too much")

    class Crowd(FakeDetector):
        def detect(self, frames: Iterable[Frame]) -> Iterator[Detections]:
            for found in super().detect(frames):
                people = found.keypoints + 100 * np.arange(8, dtype=np.float32)[:, None, None]
                scores = np.repeat(found.scores, 8, axis=0)
                yield Detections(people, scores, found.skeleton)

    monkeypatch.setattr(session, "check_memory", short)
    monkeypatch.setattr(pipeline, "open_detector", lambda *_: (Crowd(lambda n: True), "a crowd"))
    result = run(clip, live=EVERY_FRAME)
    assert result is not None
    assert asked == [8, 4, 2]
    assert result.people == 2
    assert "Memory is short" in "".join(map(str, run.said))  # type: ignore[attr-defined]


def test_a_recording_is_not_overwritten(run: Run, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("precious")
    with pytest.raises(UsageError, match=r"a\.npz is there already"):
        run(clip, tmp_path / "a.npz")
    (tmp_path / "b.source.mp4").write_text("precious")
    with pytest.raises(UsageError, match=r"b\.source\.mp4 is there already"):
        run(clip, tmp_path / "b.npz", live={"save_video": True})
    with pytest.raises(UsageError, match=r"give a folder, or the name of an \.npz"):
        run(clip, tmp_path / "b.mp4")
    (tmp_path / "file").write_text("")
    with pytest.raises(VidposeError, match="a file, not a folder"):
        run(clip, tmp_path / "file" / "a.npz")
