from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.clips import cut, make_clip
from tests.datasets.prepare.raw_files import write_mat
from tests.fakes import FakeDetector
from vidpose.datasets.prepare import detections, h36m, humaneva, mpi_inf_3dhp
from vidpose.datasets.prepare.detections import detect_videos, on_every_frame, one_person
from vidpose.detect import Detections
from vidpose.errors import DataError, NoPersonError
from vidpose.events import Event, Warn
from vidpose.options import DetectorOptions
from vidpose.poses import Pose2D
from vidpose.skeleton import COCO17, conversion
from vidpose.utils.npz import read_npz
from vidpose.video import Frame

H36M_CAMERAS = ("54138969", "55011271", "58860488", "60457274")
RATE = Fraction(50)
FRAMES = 12
HRNET, CPN, MEDIAPIPE = (DetectorOptions(detector=d) for d in ("hrnet", "cpn", "mediapipe"))


@dataclass
class Opened:
    """The stand-ins that were opened, what for, and how many videos they saw."""

    sees: Callable[[int], bool] = lambda index: True
    version: str = "0"
    count: int = 0
    videos: int = 0
    options: DetectorOptions | None = None

    def __call__(self, options: DetectorOptions, device: torch.device) -> tuple[FakeDetector, str]:
        self.count += 1
        self.options = options
        detector = Counted(self.sees)
        detector.opened = self
        detector.description = {"name": "fake", "version": self.version, "size": (64, 48)}
        return detector, "a stand-in (this is a test)"


class Counted(FakeDetector):
    opened: Opened

    def detect(self, frames: Iterable[Frame]) -> Iterator[Detections]:
        self.opened.videos += 1
        return super().detect(frames)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    fake = Opened()
    monkeypatch.setattr(detections, "open_detector", fake)
    return fake


def expected(frames: int = FRAMES, skeleton: str = "h36m17") -> NDArray[np.float32]:
    """(frames, J, 2) what the stand-in sees in a clip of 64 x 48."""
    detector = FakeDetector(lambda index: True)

    @dataclass
    class Picture:
        index: int
        image: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((48, 64, 3), np.uint8))

    seen = [d.keypoints[0] for d in detector.detect(map(Picture, range(frames)))]  # type: ignore[arg-type]
    joints = conversion(COCO17.name, "h36m17")(np.array(seen))[0]
    if skeleton != "h36m17":
        joints, _ = conversion("h36m17", skeleton)(joints)
    return joints.astype(np.float32)


def write_h36m_videos(
    source: Path, monkeypatch: pytest.MonkeyPatch, subjects: tuple[str, ...] = ("S9",)
) -> None:
    """Videos of two actions, 16 for each subject, and others that are not wanted."""
    monkeypatch.setattr(h36m, "ACTIONS", ("Directions", "Photo"))
    clip = make_clip(source.parent / "clip.mp4", rate=RATE, frames=FRAMES)
    for subject in subjects:
        photo = "Photo" if subject == "S9" else "TakingPhoto"
        folder = source / "deep" / subject / "Videos"
        folder.mkdir(parents=True)
        for camera in H36M_CAMERAS:
            for take in ("Directions", "Directions 1", photo, f"{photo} 2", "_ALL", "_ALL 1"):
                shutil.copy(clip, folder / f"{take}.{camera}.mp4")


def test_h36m(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Opened) -> None:
    write_h36m_videos(tmp_path / "raw", monkeypatch, ("S9", "S11"))
    # The field leaves S11's first Directions out, so its videos may be broken or missing.
    videos = tmp_path / "raw" / "deep" / "S11" / "Videos"
    (videos / "Directions.54138969.mp4").unlink()
    cut(videos / "Directions.55011271.mp4", 0.1)
    events: list[Event] = []
    path = detect_videos(
        *("h36m", tmp_path / "raw", tmp_path / "data"),
        replace(HRNET, pose_weights="hrnet-w48"),
        "cpu",
        report=events.append,
    )
    assert path == tmp_path / "data" / "data_2d_h36m_hrnet.npz"
    assert "no videos of S1, S5, S6, S7, S8 are below" in str(events[0])
    assert str(events[1]) == "Detector: a stand-in (this is a test). 28 videos."
    assert opened.options == DetectorOptions(detector="hrnet", pose_weights="hrnet-w48", people=1)
    assert (opened.count, opened.videos) == (1, 28)  # one for all videos

    found = read_npz(path)
    assert found["metadata"] == {
        "layout_name": "h36m",
        "num_joints": 17,
        "keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]],
    }
    positions = found["positions_2d"]
    assert {s: sorted(takes) for s, takes in positions.items()} == {
        "S9": ["Directions", "Directions 1", "Photo", "Photo 2"],
        "S11": ["Directions 1", "Photo", "Photo 2"],
    }
    for takes in positions.values():
        for cameras in takes.values():
            assert len(cameras) == 4
            for camera in cameras:
                assert camera.dtype == np.float32
                np.testing.assert_allclose(camera, expected(), atol=1e-4)


def test_frames_without_a_person_are_interpolated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Opened
) -> None:
    write_h36m_videos(tmp_path / "raw", monkeypatch)
    opened.sees = lambda index: index not in (0, 4, 5, 11)
    path = detect_videos("h36m", tmp_path / "raw", tmp_path / "data", CPN)
    camera = read_npz(path)["positions_2d"]["S9"]["Photo"][2]
    whole = expected()
    np.testing.assert_allclose(camera[0], whole[1], atol=1e-4)  # the ends are held
    np.testing.assert_allclose(camera[11], whole[10], atol=1e-4)
    np.testing.assert_allclose(camera[4], whole[3] * 2 / 3 + whole[6] / 3, atol=1e-4)


def test_it_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Opened
) -> None:
    source, out = tmp_path / "raw", tmp_path / "data"
    write_h36m_videos(source, monkeypatch)
    video = source / "deep" / "S9" / "Videos" / f"Photo.{H36M_CAMERAS[1]}.mp4"
    whole = video.read_bytes()
    cut(video, 0.1)
    events: list[Event] = []
    message = r"1 of 16 videos gave no joints \(S9/Photo\.55011271\).*kept in .*_h36m_mediapipe"
    with pytest.raises(DataError, match=message):
        detect_videos("h36m", source, out, MEDIAPIPE, report=events.append)
    assert any(isinstance(event, Warn) and str(video) in str(event) for event in events)
    assert not list(out.glob("*.npz"))
    assert opened.videos == 15

    video.write_bytes(whole)
    opened.videos = 0
    path = detect_videos("h36m", source, out, MEDIAPIPE)
    assert opened.videos == 1
    first = read_npz(path)
    opened.videos = 0
    np.testing.assert_equal(read_npz(detect_videos("h36m", source, out, MEDIAPIPE)), first)
    assert opened.videos == 0

    (kept,) = (out / "detections_h36m_mediapipe" / "S9").glob("Photo.54138969*")
    cut(kept)
    other = source / "deep" / "S9" / "Videos" / f"Photo 2.{H36M_CAMERAS[1]}.mp4"
    make_clip(other, rate=RATE, frames=FRAMES + 1)  # another video of that name
    opened.videos = 0
    again = read_npz(detect_videos("h36m", source, out, MEDIAPIPE))["positions_2d"]
    assert opened.videos == 2
    assert len(again["S9"]["Photo 2"][1]) == FRAMES + 1
    opened.videos, opened.version = 0, "1"  # another detector
    detect_videos("h36m", source, out, MEDIAPIPE)
    assert opened.videos == 16


def test_nobody_in_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Opened) -> None:
    write_h36m_videos(tmp_path / "raw", monkeypatch)
    opened.sees = lambda index: False
    with pytest.raises(DataError, match=r"16 of 16 videos gave no joints .* and 10 more"):
        detect_videos("h36m", tmp_path / "raw", tmp_path / "data", CPN)


def test_h36m_videos_that_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Opened
) -> None:
    source, out = tmp_path / "raw", tmp_path / "data"
    write_h36m_videos(source, monkeypatch)
    folder = source / "deep" / "S9" / "Videos"
    (folder / "Photo 2.60457274.mp4").unlink()
    with pytest.raises(DataError, match="lacks videos: S9 Photo 2 has no camera 60457274"):
        detect_videos("h36m", source, out, CPN)
    for path in folder.glob("Photo 2.*"):
        path.unlink()
    with pytest.raises(DataError, match=r"lacks videos of Human3\.6M: S9 has 1 of 2 Photo"):
        detect_videos("h36m", source, out, CPN)
    shutil.rmtree(source / "deep")
    (source / "other.mp4").write_bytes(b"x")
    with pytest.raises(DataError, match=r"no videos of Human3\.6M below it, such as S1/Videos/D"):
        detect_videos("h36m", source, out, CPN)
    assert opened.count == 0
    assert not out.exists()


def test_mpi_inf_3dhp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Opened) -> None:
    monkeypatch.setitem(mpi_inf_3dhp.FRAMES, ("S2", "Seq1"), (7, 25))
    folder = tmp_path / "raw" / "S2" / "Seq1" / "imageSequence"
    folder.mkdir(parents=True)
    clip = make_clip(tmp_path / "clip.avi", codec="mpeg4", rate=Fraction(25), frames=FRAMES)
    for camera in range(14):
        shutil.copy(clip, folder / f"video_{camera}.avi")
    events: list[Event] = []
    path = detect_videos(
        "mpi_inf_3dhp", tmp_path / "raw", tmp_path / "data", CPN, report=events.append
    )
    assert path.name == "data_2d_mpi_inf_3dhp_cpn.npz"
    text = "\n".join(map(str, events))
    assert "8 videos" in text
    assert "the test sequences are images" in text
    found = read_npz(path)
    assert found["metadata"]["layout_name"] == "mpi_inf_3dhp"
    cameras = found["positions_2d"]["S2"]["Seq1"]
    assert len(cameras) == 8
    for camera in cameras:
        np.testing.assert_allclose(camera, expected(7, "mpi_inf_3dhp"), atol=1e-4)

    (folder / "video_8.avi").unlink()
    with pytest.raises(DataError, match="lacks videos: S2 Seq1 has no camera 8"):
        detect_videos("mpi_inf_3dhp", tmp_path / "raw", tmp_path / "data", CPN)
    shutil.rmtree(folder)
    with pytest.raises(DataError, match=r"no videos of MPI-INF-3DHP below it, such as"):
        detect_videos("mpi_inf_3dhp", tmp_path / "raw", tmp_path / "data", CPN)


def write_humaneva_videos(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One take whose frames 2 to 7 are annotated, 4 of them broken; its videos begin before it."""
    parts = {("Train/S2", "Jog 1"): (5, 8), ("Validate/S2", "Jog 1"): (2, 5)}
    monkeypatch.setattr(humaneva, "FRAMES", parts)
    monkeypatch.setattr(humaneva, "TAKES", {("S2", "Jog 1"): (0, 0, (4, 3, 1))})
    poses, seen = np.ones((3, 15, 3)), np.ones((3, 3, 15, 2))
    write_mat(source / "Train" / "S2" / "Jog_1.mat", poses_3d=poses, poses_2d=seen)
    poses[1] = seen[:, 1] = np.nan
    write_mat(source / "Validate" / "S2" / "Jog_1.mat", poses_3d=poses, poses_2d=seen)
    folder = source / "S2" / "Image_Data"
    folder.mkdir(parents=True)
    for name in ("C1", "C2", "C3", "BW1"):
        make_clip(folder / f"Jog_1_({name}).avi", codec="mpeg4", rate=Fraction(60))
        make_clip(folder / f"Jog_2_({name}).avi", codec="mpeg4", rate=Fraction(60))


def test_humaneva(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Opened) -> None:
    write_humaneva_videos(tmp_path / "raw", monkeypatch)
    events: list[Event] = []
    path = detect_videos(
        "humaneva", tmp_path / "raw", tmp_path / "data", HRNET, report=events.append
    )
    assert path.name == "data_2d_humaneva15_hrnet.npz"
    assert not any(isinstance(event, Warn) for event in events)
    assert read_npz(path)["metadata"]["layout_name"] == "humaneva15"
    positions = read_npz(path)["positions_2d"]
    assert {s: list(chunks) for s, chunks in positions.items()} == {
        "Train/S2": ["Jog 1 chunk0"],
        "Validate/S2": ["Jog 1 chunk0", "Jog 1 chunk2"],
    }
    whole = expected(skeleton="humaneva15")
    # Frame 0 of the take is the videos' frame 3, 2 and 0, counted from 0.
    for camera, zero in zip(positions["Train/S2"]["Jog 1 chunk0"], (3, 2, 0), strict=True):
        np.testing.assert_allclose(camera, whole[zero + 5 : zero + 8], atol=1e-4)
    for camera, zero in zip(positions["Validate/S2"]["Jog 1 chunk2"], (3, 2, 0), strict=True):
        np.testing.assert_allclose(camera, whole[[zero + 4]], atol=1e-4)


def test_humaneva_videos_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Opened
) -> None:
    source, out = tmp_path / "raw", tmp_path / "data"
    write_humaneva_videos(source, monkeypatch)
    folder = source / "S2" / "Image_Data"
    make_clip(folder / "Jog_1_(C1).avi", codec="mpeg4", frames=9, rate=Fraction(60))
    with pytest.raises(DataError, match=r"video of S2 Jog 1 below .* ends before frame 8 of its"):
        detect_videos("humaneva", source, out, CPN)
    (folder / "Jog_1_(C2).avi").unlink()
    with pytest.raises(DataError, match="lacks videos: S2 Jog 1 has no camera C2"):
        detect_videos("humaneva", source, out, CPN)
    shutil.rmtree(folder)
    with pytest.raises(DataError, match="lacks the videos of 1 of 1 takes of HumanEva: S2 Jog 1"):
        detect_videos("humaneva", source, out, CPN)
    (source / "Train" / "S2" / "Jog_1.mat").unlink()
    with pytest.raises(DataError, match=r"ConvertHumanEva\.m exports: Train/S2/Jog_1\.mat"):
        detect_videos("humaneva", source, out, CPN)


def people(*spans: tuple[int, int], frames: int = 10) -> Pose2D:
    """People who are present over these frames, each with their number as coordinates."""
    keypoints = np.full((len(spans), frames, 17, 2), np.nan, np.float32)
    present = np.zeros((len(spans), frames), bool)
    for person, (start, stop) in enumerate(spans):
        keypoints[person, start:stop] = person + 1
        present[person, start:stop] = True
    return Pose2D(
        keypoints_2d=keypoints,
        scores_2d=np.isfinite(keypoints[..., 0]).astype(np.float32),
        present=present,
        observed=present,
        person_ids=np.arange(len(spans), dtype=np.int32),
        frame_indices=np.arange(frames),
        timestamps=np.arange(frames) / 25,
        fps=25.0,
        frame_size=(64, 48),
    )


@pytest.mark.parametrize(
    ("spans", "who"),
    [
        ([(0, 4), (3, 10)], [0, 0, 0, 2, 2, 2, 2, 2, 2, 2]),  # the other overlaps: left out
        ([(0, 3), (4, 10)], [1, 1, 1, 0, 2, 2, 2, 2, 2, 2]),  # the same one, found again
        ([(0, 3), (5, 10), (2, 5)], [1, 1, 1, 0, 0, 2, 2, 2, 2, 2]),
    ],
)
def test_who_the_video_is_about(spans: list[tuple[int, int]], who: list[int]) -> None:
    track = one_person(people(*spans), Path("a.mp4"))
    np.testing.assert_array_equal(np.nan_to_num(track)[:, 0, 0], who)


def test_nobody() -> None:
    with pytest.raises(NoPersonError, match=r"Nobody was found in any frame of a\.mp4"):
        one_person(people(), Path("a.mp4"))


def test_frames_that_could_not_be_read_get_their_rows() -> None:
    poses = people((0, 4), frames=4)
    stamps = np.array([0.0, 0.04, 0.161, 0.2])  # two frames are missing, and stamps are rounded
    track = np.zeros((4, 17, 2), np.float32)
    track[:, :, 0] = np.array([0, 1, 4, 5])[:, None]
    poses = Pose2D(**(vars(poses) | {"timestamps": stamps}))
    np.testing.assert_allclose(on_every_frame(track, poses)[:, 3, 0], [0, 1, 2, 3, 4, 5])
