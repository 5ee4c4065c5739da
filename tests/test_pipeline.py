import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import psutil
import pytest
from click.testing import CliRunner

import vidpose
from tests.clips import NTSC, cut, make_clip
from tests.fakes import FakeDetector, tiny_weights, use_fake_detector
from tests.robustness.videos import pictures
from tests.slow_infer import HALTED
from vidpose import outputs, pipeline
from vidpose.cli import main
from vidpose.detect import Detections, cache
from vidpose.errors import NoPersonError, UsageError, VideoError, VidposeError
from vidpose.events import Report
from vidpose.render import render_video
from vidpose.skeleton import H36M17
from vidpose.utils import progress
from vidpose.utils.files import sha256
from vidpose.video import Frame


@pytest.fixture(autouse=True)
def no_matter_how_busy_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LONG_S", 3600.0)  # or there would be lines of what takes long


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return tiny_weights(tmp_path / "tiny.safetensors")


def into(lines: list[str]) -> Report:
    """Collects reported events as the command line shows them."""
    return lambda event: lines.append(str(event))


def _stamps(path: Path) -> tuple[list[Fraction], float]:
    """Timestamps and duration of a video, read by FFmpeg only."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stamps = [frame.pts * frame.time_base for frame in container.decode(stream)]
        assert stream.duration is not None
        return stamps, float(stream.duration * stream.time_base)


VARIABLE = [0, 33, 67, 133, 150, 210, 260, 400, 433, 467, 500, 567]


@pytest.mark.parametrize(
    "make",
    [
        lambda path: make_clip(path, size=(320, 180), rotation=90, rate=Fraction(30)),
        lambda path: make_clip(path, size=(180, 320), rate=NTSC, frames=20),
        lambda path: make_clip(path, size=(320, 180), ticks=VARIABLE, time_base=Fraction(1, 1000)),
        lambda path: make_clip(path, size=(320, 180), rate=Fraction(60), frames=25),
    ],
    ids=["portrait by rotation", "29.97 frames/s", "variable rate", "60 frames/s"],
)
def test_time_survives_in_result_and_overlay(
    make: Callable[[Path], Path], tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    video = make(tmp_path / "in.mp4")
    stamps, duration = _stamps(video)
    result = vidpose.infer(video, tmp_path / "out", weights=weights)
    assert result.frame_indices.tolist() == list(range(len(stamps)))
    np.testing.assert_allclose(result.timestamps, np.array(stamps, float), atol=1e-9)

    render_video(result, video, tmp_path / "out" / "in.mp4")
    drawn, drawn_duration = _stamps(tmp_path / "out" / "in.mp4")
    assert len(drawn) == len(stamps)
    assert max(abs(a - b) for a, b in zip(drawn, stamps, strict=True)) <= Fraction(1, 90_000)
    assert drawn_duration == pytest.approx(duration, abs=2e-4)


def test_size_is_the_upright_one(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    video = make_clip(tmp_path / "in.mp4", size=(320, 180), rotation=90)
    result = vidpose.infer(video, weights=weights)
    assert result.frame_size == (180, 320)
    head, foot = H36M17.index("Head"), H36M17.index("RFoot")
    assert (result.keypoints_2d[0, :, head, 1] < result.keypoints_2d[0, :, foot, 1]).all()


def test_part_of_a_video_keeps_its_indices_and_times(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    video = make_clip(tmp_path / "in.mp4", frames=30, rate=Fraction(30))
    result = vidpose.infer(video, weights=weights, start=0.5, end=0.8)
    assert result.frame_indices.tolist() == list(range(15, 24))
    np.testing.assert_allclose(result.timestamps, np.arange(15, 24) / 30, atol=1e-6)
    render_video(result, video, tmp_path / "part.mp4")
    assert len(_stamps(tmp_path / "part.mp4")[0]) == 9


def test_a_person_from_the_middle_on(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch, lambda index: index >= 10)
    result = vidpose.infer(make_clip(tmp_path / "in.mp4", frames=25), weights=weights)
    assert result.present.tolist() == [[False] * 10 + [True] * 15]
    assert np.isnan(result.joints_3d[0, :10]).all()
    assert np.isfinite(result.joints_3d[0, 10:]).all()


def test_a_short_gap_is_interpolated_and_reported(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch, lambda index: index not in (8, 9, 10))
    video = make_clip(tmp_path / "in.mp4", frames=25)
    result = vidpose.infer(video, tmp_path, weights=weights)
    (trust,) = vidpose.load(tmp_path / "in.npz").meta["trust"]["people"]
    assert trust["interpolated_percent"] == 12
    assert trust["confidence_2d"] == 0.9
    assert trust["flip_disagreement_mm"] > 0
    (plain,) = vidpose.infer(video, weights=weights, flip=False).meta["trust"]["people"]
    assert plain["flip_disagreement_mm"] is None
    assert result.present.all()
    assert np.flatnonzero(~result.observed[0]).tolist() == [8, 9, 10]
    assert np.isfinite(result.keypoints_2d[0, 8:11]).all()


def test_single_frame(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_detector(monkeypatch)
    video = make_clip(tmp_path / "in.mp4", frames=1)
    result = vidpose.infer(video, weights=weights)
    assert result.joints_3d.shape == (1, 1, 17, 3)
    render_video(result, video, tmp_path / "out.mp4")
    assert len(_stamps(tmp_path / "out.mp4")[0]) == 1


def test_nobody(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_detector(monkeypatch, lambda index: False)
    video = make_clip(tmp_path / "in.mp4")
    with pytest.raises(NoPersonError, match="Nobody was found in any frame"):
        vidpose.infer(video, tmp_path / "out", weights=weights)
    assert not (tmp_path / "out").exists()


def test_the_readable_part_of_a_truncated_video_is_delivered(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    video = make_clip(
        tmp_path / "in.mp4", frames=40, noise=True, options={"movflags": "+faststart"}
    )
    cut(video, 0.6)
    lines: list[str] = []
    result = vidpose.infer(video, tmp_path, weights=weights, report=into(lines))
    assert 5 < result.frames < 40
    (warning,) = [line for line in lines if line.startswith("Warning: ")]
    assert "40" in warning
    assert result.meta["warnings"] == [warning.removeprefix("Warning: ")]
    assert vidpose.load(tmp_path / "in.npz").frames == result.frames


class Interrupted(FakeDetector):
    """Raises an error before some frame."""

    def __init__(self, before: int, error: BaseException) -> None:
        super().__init__(lambda index: index % 7 != 3)
        self.before, self.error = before, error
        self.given = 0

    def detect(self, frames: Iterable[Frame]) -> Iterator[Detections]:
        for found in super().detect(frames):
            if self.given == self.before:
                raise self.error
            self.given += 1
            yield found


def use(monkeypatch: pytest.MonkeyPatch, detector: FakeDetector) -> None:
    monkeypatch.setattr(pipeline, "open_detector", lambda *_, **__: (detector, "a stand-in"))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), RuntimeError("broken")])
def test_an_interrupted_run_resumes_and_gives_the_same_file(
    error: BaseException, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "STRETCH_S", 0.0)
    video = make_clip(tmp_path / "in.mp4", frames=40, rate=Fraction(30))
    use(monkeypatch, Interrupted(99, error))
    whole = vidpose.infer(video, tmp_path / "whole", weights=weights, end=1.2)
    assert whole.frames == 36

    lines: list[str] = []
    for stop in (0, 13, 9):  # of those that are left
        use(monkeypatch, Interrupted(stop, error))
        with pytest.raises(type(error)) as caught:
            vidpose.infer(
                video,
                tmp_path / "out",
                weights=weights,
                end=1.2,
                report=into(lines),
            )
        assert caught.value is error
        assert not [t for t in threading.enumerate() if t.name.startswith("vidpose")]
        assert not (tmp_path / "out" / "in.npz").exists()
    kept = [f"Stopped; {n} frames are kept; run the same command to continue." for n in (13, 22)]
    assert [line for line in lines if "Stopped" in line] == (
        kept if not isinstance(error, RuntimeError) else []
    )
    last = Interrupted(99, error)
    use(monkeypatch, last)
    vidpose.infer(
        video,
        tmp_path / "out",
        weights=weights,
        end=1.2,
        report=into(lines),
    )
    assert last.given == 36 - 22
    assert "Going on after 22 frames that an interrupted run has left." in lines
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["in.npz"]
    files = [(tmp_path / folder / "in.npz").read_bytes() for folder in ("whole", "out")]
    assert files[0] == files[1]


def test_interrupted_after_detection_nothing_is_decoded_again(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "STRETCH_S", 0.0)
    video = make_clip(
        tmp_path / "in.mp4", frames=40, noise=True, options={"movflags": "+faststart"}
    )
    cut(video, 0.6)
    use_fake_detector(monkeypatch)
    whole = vidpose.infer(video, tmp_path / "whole", weights=weights)
    with monkeypatch.context() as broken:
        broken.setattr(pipeline, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        lines: list[str] = []
        with pytest.raises(KeyboardInterrupt):
            vidpose.infer(
                video,
                tmp_path / "out",
                weights=weights,
                report=into(lines),
            )
    assert lines[-1].startswith("Stopped; ")
    use(monkeypatch, Interrupted(0, AssertionError("a frame was decoded")))
    again = vidpose.infer(video, tmp_path / "out", weights=weights)
    assert whole.meta["warnings"]
    assert again.meta == whole.meta
    np.testing.assert_array_equal(again.joints_3d, whole.joints_3d)
    assert (tmp_path / "out" / "in.npz").read_bytes() == (
        tmp_path / "whole" / "in.npz"
    ).read_bytes()


class Passing(FakeDetector):
    """Also detects a new person every second, each for a shorter time."""

    def detect(self, frames: Iterable[Frame]) -> Iterator[Detections]:
        frames = list(frames)
        for frame, found in zip(frames, super().detect(frames), strict=True):
            second, rest = divmod(frame.time_s, 1)
            if rest > 0.9 - 0.1 * second:
                yield found
                continue
            other = found.keypoints + np.array([100 * (second + 1), 0], np.float32)
            both = np.concatenate([found.keypoints, other])
            yield Detections(both, np.full(both.shape[:2], 0.9, np.float32), found.skeleton)


def test_a_result_beyond_the_memory_is_refused_and_its_detections_are_kept(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "STRETCH_S", 0.0)
    video = make_clip(tmp_path / "in.mp4", frames=90, rate=Fraction(30))
    use(monkeypatch, Passing(lambda index: True))
    everybody = vidpose.infer(video, weights=weights)
    assert everybody.people == 4
    free = 3 * 90 * outputs.BYTES
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
    with pytest.raises(VidposeError, match=r"--longest N, .* --start and --end\.$"):
        vidpose.infer(video, weights=weights)
    with pytest.raises(VidposeError, match=r"poses of 4 people in 90 frames .* so far are kept"):
        vidpose.infer(video, tmp_path / "out", weights=weights)
    assert not (tmp_path / "out" / "in.npz").exists()

    use(monkeypatch, Interrupted(0, AssertionError("a frame was looked at again")))
    lines: list[str] = []
    result = vidpose.infer(
        video,
        tmp_path / "out",
        weights=weights,
        longest=2,
        report=into(lines),
    )
    assert "Kept the 2 of 4 people who are visible longest." in lines
    assert result.meta["options"]["longest"] == 2
    np.testing.assert_array_equal(result.joints_3d, everybody.joints_3d[:2])


def test_an_error_while_decoding_surfaces_as_itself(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    video = make_clip(tmp_path / "in.mp4")
    with pytest.raises(VideoError, match="has no frame from 99 s on"):
        vidpose.infer(video, tmp_path / "out", weights=weights, start=99)
    assert not (tmp_path / "out").exists()


def test_relift_takes_the_2d_of_the_result(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch, lambda index: index % 7 != 3)
    video = make_clip(tmp_path / "in.mp4", frames=25)
    before = vidpose.infer(video, tmp_path, weights=weights, people=3)

    def relift(**options: Any) -> vidpose.Pose3D:
        given: dict[str, Any] = {"weights": weights, "people": 3} | options
        return vidpose.infer(video, tmp_path, **given, relift=True)

    use(monkeypatch, Interrupted(0, AssertionError("it is detected again")))
    same = relift()
    np.testing.assert_array_equal(same.joints_3d, before.joints_3d)
    assert same.meta == before.meta
    other = relift(focal_px=200.0)
    np.testing.assert_array_equal(other.keypoints_2d, before.keypoints_2d)
    assert (other.root_3d != before.root_3d).any()
    assert vidpose.load(tmp_path / "in.npz").meta["camera"]["focal_px"] == 200.0
    np.testing.assert_array_equal(relift(flip_test=False).joints_3d, before.joints_3d)
    for options, told in (
        ({"people": 4}, "with --people 3, not --people 4"),
        ({"end": 0.5}, "with --end at its default, not --end 0.5"),
        ({"detector": "hrnet"}, "with --detector fake, not --detector hrnet"),
        ({"flip_test": True}, "with --flip-test False, not --flip-test True"),
        ({"pose_weights": "hrnet-w48"}, "with --pose-weights at its default, not"),
        ({"person_weights": "rtmdet-m"}, "with --person-weights at its default, not"),
        ({"detect_every": 4}, "with --detect-every at its default, not --detect-every 4"),
        ({"half": True}, "with --half auto, not --half True"),
    ):
        with pytest.raises(UsageError, match=told):
            relift(**options)
    with pytest.raises(AssertionError, match="detected again"):  # without a result there is no 2D
        vidpose.infer(video, tmp_path / "none", weights=weights, relift=True)


def test_relift_of_pictures_keeps_their_rate(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    folder = pictures(tmp_path)
    before = vidpose.infer(folder, tmp_path, weights=weights, fps=25)

    def relift(**options: Any) -> vidpose.Pose3D:
        return vidpose.infer(folder, tmp_path, weights=weights, relift=True, **options)

    with pytest.raises(UsageError, match=r"was made with --fps 25, not --fps 50; leave out"):
        relift(fps=50)
    for options in ({"fps": 25}, {}):
        again = relift(**options)
        np.testing.assert_array_equal(again.timestamps, before.timestamps)
        assert again.meta["options"]["fps"] == 25


def test_infer_draws_too(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_detector(monkeypatch)
    video = make_clip(tmp_path / "in.mp4")
    lines: list[str] = []
    vidpose.infer(
        video,
        tmp_path / "out",
        weights=weights,
        render=True,
        report=into(lines),
    )
    assert lines[1:] == [
        f"1 person in 12 frames: {tmp_path / 'out' / 'in.npz'}",
        f"Overlay video: {tmp_path / 'out' / 'in.mp4'}",
    ]
    assert len(_stamps(tmp_path / "out" / "in.mp4")[0]) == 12
    with pytest.raises(UsageError, match="give it as out="):
        vidpose.infer(video, weights=weights, render=True)


def test_infer_reports_long_steps(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    video = make_clip(tmp_path / "in.mp4")
    told: list[str] = []

    @contextmanager
    def tell(report: Report, what: str) -> Iterator[None]:
        told.append(what)
        yield

    monkeypatch.setattr(pipeline, "announce_if_long", tell)
    vidpose.infer(video, tmp_path, weights=weights)
    assert told == [
        f"Reading {video} for its SHA-256",
        "Finishing the tracks",
        f"Writing {tmp_path / 'in.npz'}",
    ]


@pytest.mark.parametrize(
    ("how", "frame"), [(signal.SIGKILL, 18), (signal.SIGKILL, 42), (signal.SIGINT, 30)]
)
def test_a_killed_run_resumes_and_gives_the_same_file(
    how: signal.Signals, frame: int, tmp_path: Path, weights: Path
) -> None:
    video = make_clip(tmp_path / "in.mp4", frames=60)

    def command(out: str) -> list[str]:
        folder = str(tmp_path / out)
        return [sys.executable, "-m", "tests.slow_infer", str(video), folder, str(weights)]

    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    started = subprocess.Popen([*command("killed"), str(frame)], text=True, **pipes)
    assert started.stdout is not None
    assert "stand-in" in started.stdout.readline()
    assert started.stdout.readline() == f"{HALTED}\n"
    started.send_signal(how)
    told, _ = started.communicate()
    assert started.returncode != 0
    assert ("frames are kept; run the same command" in told) == (how == signal.SIGINT)
    assert not (tmp_path / "killed" / "in.npz").exists()
    assert (tmp_path / "killed" / ".in.partial").exists()

    again = subprocess.run(command("killed"), check=True, capture_output=True, text=True)
    assert "Going on after" in again.stdout
    subprocess.run(command("whole"), check=True, capture_output=True)
    assert [path.name for path in (tmp_path / "killed").iterdir()] == ["in.npz"]
    files = [(tmp_path / folder / "in.npz").read_bytes() for folder in ("whole", "killed")]
    assert files[0] == files[1]


def test_first_line_and_meta_record_the_setup(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    video = make_clip(tmp_path / "in.mp4")
    lines: list[str] = []
    focal_px: Any = np.float32(80)  # what NumPy's users have at hand
    result = vidpose.infer(
        video,
        weights=weights,
        device="cpu",
        focal_px=focal_px,
        precision="fp32",
        report=into(lines),
    )
    assert lines == [
        f"Detector: a stand-in (this is a test). Weights: {weights} (as given). "
        "Device: cpu (as given)."
    ]
    meta = result.meta
    assert meta["source"] == {
        "path": str(video),
        "bytes": video.stat().st_size,
        "sha256": sha256(video),
    }
    assert meta["camera"]["focal_px"] == 80.0
    assert meta["camera"]["focal"] == "given"
    assert meta["lifter"]["sha256"] == sha256(weights)
    assert meta["lifter"]["precision"] == "fp32"
    assert meta["detector"] == {"name": "fake", "version": "0"}
    assert meta["vidpose"] == vidpose.__version__
    json.dumps(meta)
    assumed = vidpose.infer(video, weights=weights).meta["camera"]
    assert assumed["focal_px"] == 64
    assert assumed["focal"].startswith("assumed")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": -1.0}, "--start -1"),
        ({"start": float("nan")}, "--start nan"),
        ({"start": 2.0, "end": 1.0}, "--end 1 is not after --start 2"),
        ({"focal_px": 0.0}, "give a positive number"),
        ({"longest": 0}, "--longest 0: give 1 or more"),
        ({"device": "tpu"}, "choose auto, cpu, cuda"),
        ({"precision": "int8"}, "choose auto, fp32, bf16"),
    ],
)
def test_options_that_make_no_sense(
    tmp_path: Path, weights: Path, options: dict[str, float], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        vidpose.infer(tmp_path / "in.mp4", weights=weights, **options)  # type: ignore[arg-type]


def test_the_real_thing(demo_video: Path, tmp_path: Path) -> None:
    """The whole command on two seconds of a real video, the result file key by key."""
    options = ["--detector", "mediapipe", "--start", "2", "--end", "4", "--render"]
    done = CliRunner().invoke(main, ["infer", str(demo_video), "-o", str(tmp_path), *options])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("Detector: MediaPipe's BlazePose mixed, on onnxruntime ")
    assert len(_stamps(tmp_path / "demo.mp4")[0]) == 60
    with np.load(tmp_path / "demo.npz", allow_pickle=False) as archive:
        file = {key: archive[key] for key in archive.files}
    shapes = {
        **{"format": (), "fps": (), "meta": (), "frame_size": (2,), "person_ids": (2,)},
        **{"frame_indices": (60,), "timestamps": (60,), "joint_names": (17,), "parents": (17,)},
        **{"present": (2, 60), "observed": (2, 60), "scores_2d": (2, 60, 17)},
        **{"keypoints_2d": (2, 60, 17, 2), "joints_3d": (2, 60, 17, 3), "root_3d": (2, 60, 3)},
    }
    assert {key: array.shape for key, array in file.items()} == shapes
    assert str(file["format"]) == "vidpose/1"
    assert file["frame_indices"].tolist() == list(range(60, 120))
    assert file["frame_size"].tolist() == [1768, 994]
    assert file["fps"] == pytest.approx(30, abs=0.05)
    np.testing.assert_allclose(np.diff(file["timestamps"]), 1 / 30, atol=1e-3)
    assert file["person_ids"].tolist() == [1, 2]
    assert file["joint_names"].tolist() == list(H36M17.joint_names)
    assert file["parents"].tolist() == list(H36M17.parents)
    assert file["present"].mean() > 0.9
    assert (file["observed"] & ~file["present"]).sum() == 0
    assert file["observed"].mean() > 0.85

    joints, present = file["joints_3d"], file["present"]
    assert (joints[present][:, 0] == 0).all()
    at = {name: joints[..., i, :][present] for i, name in enumerate(H36M17.joint_names)}
    # Both stand or walk upright: y is down.
    assert np.mean(at["Head"][:, 1] < -0.3) > 0.95
    assert np.mean(at["RFoot"][:, 1] > 0.4) > 0.95
    height = at["RFoot"][:, 1] - at["Head"][:, 1]
    assert 1.2 < np.median(height) < 1.9
    # The 3D falls onto the 2D.
    focal = json.loads(str(file["meta"]))["camera"]["focal_px"]
    points = joints + file["root_3d"][:, :, None]
    pixels = points[..., :2] / points[..., 2:] * focal + (file["frame_size"] - 1) / 2
    off = np.linalg.norm(pixels - file["keypoints_2d"], axis=-1)[present]
    size = np.ptp(file["keypoints_2d"][..., 1][present], axis=1)[:, None]
    assert np.median(off / size) < 0.06
    assert ((file["scores_2d"] >= 0) & (file["scores_2d"] <= 1)).all()
    assert (file["root_3d"][present][:, 2] > 2).all()
    # Nobody jumps, in the picture or in the scene.
    step_px = np.linalg.norm(np.diff(file["keypoints_2d"], axis=1), axis=-1)
    assert np.nanquantile(step_px / np.nanmax(size), 0.99) < 0.15
    step_m = np.linalg.norm(np.diff(points, axis=1), axis=-1)
    assert np.nanquantile(step_m, 0.99) < 0.35
    # The man, who is the higher one in the picture, faces the camera for the first half second:
    # his left is on the picture's right, and in the scene a shoulder's width to the right.
    man = int(np.argmin(np.nanmean(file["keypoints_2d"][:, :15, 0, 1], axis=1)))
    left, right = H36M17.index("LShoulder"), H36M17.index("RShoulder")
    across = file["keypoints_2d"][man, :15, left, 0] - file["keypoints_2d"][man, :15, right, 0]
    assert (across > 0).all()
    wide = joints[man, :15, left, 0] - joints[man, :15, right, 0]
    assert np.median(wide) > 0.3
    assert wide.min() > 0.1  # he begins to turn
