"""Frames from the names of pictures, and skeletons from the names of joints."""

from pathlib import Path

import pytest

from vidpose.errors import KeypointsError, UsageError
from vidpose.keypoints.frame_names import frame_numbers
from vidpose.keypoints.joint_names import NEEDED, canonical, missing_joints, skeleton_of_names
from vidpose.skeleton import COCO17, HALPE26, OPENPOSE25, SKELETONS

HERE = Path("results.json")


@pytest.mark.parametrize(
    ("pattern", "frames"),
    [
        ("{0}.jpg", range(12)),
        ("clip_{0:012d}_keypoints.json", range(12)),
        ("{0:04d}_cam2.jpg", range(12)),
        ("cam_{0:06d}.json", range(12)),
        ("2024-05-06 clip3/{0:04d}.png", range(7, 30)),
        (r"C:\pictures 2\frame{0}.png", range(12)),
        ("base_{0:04d}_jpg.rf.{1}.jpg", range(12)),
        ("base-{0}_png.rf.{1}.jpg", range(12)),
        ("frame_{0:04d}_{2}.{3:03d}.jpg", range(90)),  # and its time
        ("frame{0}_{1}.jpg", range(12)),  # and a hash
        ("images/{4:08x}-clip2_{0:04d}.jpg", range(0, 240, 20)),  # Label Studio's hash
        ("{4:08x}-frame{0}.jpg", range(0, 240, 20)),
        ("sample_{5:04d}_frame_{0:05d}.jpg", range(0, 240, 20)),
        ("IMG-{0}_{5}.jpg", range(0, 240, 20)),
        ("{5}-Frame {0}.png", range(0, 240, 20)),
        ("{1}_images.{0}_v{4}.jpg", range(0, 240, 20)),
        ("img_{4}_{0}.jpg", range(12)),  # an id is no frame's number
        ("20240501-{0}.jpg", range(12)),  # a day is no hash
        ("{0:08d}-cam1.jpg", range(12)),
        ("{0:03d}", range(12)),
    ],
)
def test_the_number_that_varies(pattern: str, frames: range) -> None:
    hashes = ["a3f9c", "77", "0b1e5d", "c9d8", "e2x4", "91f0a", "f", "5cc", "d41d8", "1f2", "b2c4"]
    names = {
        pattern.format(
            *(i, f"{hashes[i % 11]}{i * 7919 % 1013}", i // 30, i % 30 * 33),
            *((i + 7) * 2654435761 % 2**32, n),
        ): i
        for n, i in enumerate(frames)
    }
    assert frame_numbers(names, HERE) == names


def test_one_picture_is_the_last_number() -> None:
    assert frame_numbers(["clip2_0007.jpg"], HERE) == {"clip2_0007.jpg": 7}


@pytest.mark.parametrize(
    ("first", "second", "called"),
    [
        ("clip_a_{0:03d}.jpg", "clip_b_{0:03d}.jpg", "clip_b"),
        ("a/{0:03d}.jpg", "b/{0:03d}.jpg", "b"),
        ("cam1_{0:03d}.jpg", "cam2_{0:03d}.jpg", "cam2"),
        ("{0:03d}_cam1.jpg", "{0:03d}_cam2.jpg", "cam2"),
        ("val/000342_mpii/{0:06d}.jpg", "val/009102_mpii/{0:06d}.jpg", "val/9102_mpii"),
        ("0b1e5d0a-{0:03d}.jpg", "c9d8e2f4-{0:03d}.jpg", "c9d8e2f4"),  # videos', not pictures'
        ("20240501-{0:03d}.jpg", "20240502-{0:03d}.jpg", "20240502"),
    ],
)
@pytest.mark.parametrize("later", [0, 5, 20])
def test_two_videos_are_told_apart(first: str, second: str, called: str, later: int) -> None:
    """Even if the numbers of the second continue those of the first."""
    later = 5 if later and second.startswith("{0") else later  # else it reads as a time
    names = [first.format(i) for i in range(20)]
    others = [second.format(i + later) for i in range(20)]
    with pytest.raises(UsageError, match=r"holds 2 videos: .* choose one with --video-name"):
        frame_numbers([*names, *others], HERE)
    chosen = frame_numbers([*names, *others], HERE, called)
    assert chosen == {name: i + later for i, name in enumerate(others)}
    with pytest.raises(UsageError, match=r"--video-name other: results.json holds"):
        frame_numbers([*names, *others], HERE, "other")


def test_two_videos_behind_the_hashes_of_label_studio() -> None:
    names = {
        f"{(40 * clip + i + 7) * 2654435761 % 2**32:08x}-clip{clip}_{i:03d}.jpg": i
        for clip in (1, 2)
        for i in range(20)
    }
    with pytest.raises(UsageError, match=r"holds 2 videos: clip1 \(20 frames\), clip2"):
        frame_numbers(names, HERE)
    chosen = {name: i for name, i in names.items() if "clip2" in name}
    assert frame_numbers(names, HERE, "clip2") == chosen


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.jpg", "b.jpg"], "without a frame number"),
        (["1.jpg", "1.png", "2.jpg"], "are both frame 1"),
        ([f"{h}.jpg" for h in ("a3f99", "71b1", "c0ffee12", "9d4a", "e55")], "tell their order"),
    ],
)
def test_names_that_tell_no_frames(names: list[str], message: str) -> None:
    with pytest.raises(KeypointsError, match=message):
        frame_numbers(names, HERE)


@pytest.mark.parametrize(
    ("name", "joint"),
    [
        ("left_knee", "left_knee"),
        ("LKnee", "left_knee"),
        ("lknee", "left_knee"),
        ("L_Knee", "left_knee"),
        ("Left Knee", "left_knee"),
        ("knee.l", "left_knee"),
        ("KneeLeft", "left_knee"),
        ("LEFT_EYE_INNER", "left_eye_inner"),
        ("RSHOULDER", "right_shoulder"),
        ("REar", "right_ear"),
        ("rear", "right_ear"),
        ("Nose", "nose"),
        ("MidHip", "hip"),
        ("RBigToe", "right_big_toe"),
        ("head", None),  # its top with some, its middle with others
        ("tail", None),
        ("knee", None),
        ("left", None),
    ],
)
def test_spellings(name: str, joint: str | None) -> None:
    assert canonical(name) == joint


@pytest.mark.parametrize("skeleton", [COCO17, OPENPOSE25, HALPE26])
def test_skeletons_of_names(skeleton: object) -> None:
    names = getattr(skeleton, "joint_names")  # noqa: B009
    assert skeleton_of_names(names) == skeleton
    own = skeleton_of_names([*reversed(COCO17.joint_names), "ball"])
    assert own is not None
    assert own.name not in SKELETONS
    assert own.joint_names[-2] == "nose"
    assert skeleton_of_names([f"p{n}" for n in range(17)]) is None
    assert skeleton_of_names([*NEEDED, "LKnee"]) is None  # left_knee twice
    assert missing_joints(NEEDED[2:]) == list(NEEDED[:2])
