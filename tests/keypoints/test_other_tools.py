"""Files of other tools, of kinds known from bug reports."""

import bz2
import gzip
import json
import lzma
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.keypoints import files
from tests.keypoints.files import FPS, SIZE, dump, flat, in_h36m17, in_skeleton, person
from vidpose.errors import KeypointsError, UsageError, VidposeError
from vidpose.keypoints import read_keypoints
from vidpose.poses import Pose2D
from vidpose.skeleton import (
    BLAZEPOSE33,
    COCO17,
    H36M17,
    HALPE26,
    OPENPOSE18,
    OPENPOSE25,
    OPENPOSE25B,
)

CASES = Path(__file__).parents[3] / "shared" / "cases" / "keypoints"


def read(path: Path, **options: Any) -> Pose2D:
    given: dict[str, Any] = {"fps": FPS, "size": SIZE}
    return read_keypoints(path, **(given | options))[0]


def assert_same_people(
    poses: Pose2D, frames: int = 20, people: int = 2, observed: int | None = None
) -> None:
    observed = observed or frames
    assert (poses.people, poses.frames) == (people, frames)
    found = sorted(range(people), key=lambda p: float(np.nanmean(poses.keypoints_2d[p, 0, :, 0])))
    for who, p in enumerate(found):
        wanted = [in_h36m17(COCO17, frame, who) for frame in range(observed)]
        np.testing.assert_allclose(poses.keypoints_2d[p, :observed], wanted, atol=1e-3)


# AlphaPose


@pytest.mark.parametrize("idx", [0, [0.0], [[0.0], [0.0]]], ids=str)
def test_one_id_for_everybody_is_none(idx: Any, tmp_path: Path) -> None:
    path = files.alphapose(tmp_path / "x.json", range(20))
    rows = [row | {"idx": idx} for row in json.loads(path.read_text())]
    poses, told = read_keypoints(dump(path, rows), fps=FPS, size=SIZE)
    assert_same_people(poses)
    assert "one ID stands for several people in 20 of 20" in told["warnings"][0]


def test_an_id_that_is_doubled_now_and_then_is_kept(tmp_path: Path) -> None:
    path = files.alphapose(tmp_path / "x.json", range(20))
    rows = json.loads(path.read_text())
    rows[3]["idx"] = rows[2]["idx"]
    poses, told = read_keypoints(dump(path, rows), fps=FPS, size=SIZE)
    assert sorted(poses.person_ids.tolist()) == [39, 40]
    assert "warnings" not in told


def test_merged_ids_are_the_first(tmp_path: Path) -> None:
    path = files.alphapose(tmp_path / "x.json", range(20))
    rows = json.loads(path.read_text())
    for row in rows[::3]:
        row["idx"] = [[row["idx"]], [row["idx"]]]
    poses = read(dump(path, rows))
    assert_same_people(poses)
    assert sorted(poses.person_ids.tolist()) == [39, 40]


@pytest.mark.parametrize("nobody", [-1, "-1", [-1]], ids=repr)
@pytest.mark.parametrize("write", [files.alphapose, files.mmpose, files.coco])
def test_minus_one_is_nobody_in_particular(write: Any, nobody: Any, tmp_path: Path) -> None:
    rows = json.loads(write(tmp_path / "x.json", range(20)).read_text())
    people = [one for row in rows for one in row.get("instances", [row])]
    for n, one in enumerate(people):
        one["idx" if write is files.alphapose else "track_id"] = nobody if n < 6 else 7 + n % 2
    options = {"skeleton": "coco17"} if write is files.mmpose else {}
    poses = read(dump(tmp_path / "x.json", rows), **options)
    assert_same_people(poses)
    assert sorted(poses.person_ids.tolist()) == [1, 2]  # tracked here


def test_numbers_that_are_texts(tmp_path: Path) -> None:
    rows = json.loads(files.alphapose(tmp_path / "x.json", range(20)).read_text())
    for row in rows:
        row["idx"] = str(row["idx"])
    poses = read(dump(tmp_path / "x.json", rows))
    assert sorted(poses.person_ids.tolist()) == [39, 40]
    rows[3]["idx"] = "9" * 5000
    with pytest.raises(KeypointsError, match=r"\[3\].idx is not a whole number"):
        read(dump(tmp_path / "x.json", rows))
    frames = json.loads(files.mmpose(tmp_path / "x.json", range(20)).read_text())
    frames = [row | {"frame_id": str(row["frame_id"])} for row in frames]
    assert_same_people(read(dump(tmp_path / "x.json", frames), skeleton="coco17"))
    rows = json.loads(files.coco(tmp_path / "x.json", range(20)).read_text())
    rows = [row | {"image_id": str(row["image_id"])} for row in rows]
    assert_same_people(read(dump(tmp_path / "x.json", rows)))


def test_somebody_without_joints_in_alphapose(tmp_path: Path) -> None:
    rows = json.loads(files.alphapose(tmp_path / "x.json", range(20)).read_text())
    rows.insert(0, rows[0] | {"keypoints": []})
    assert_same_people(read(dump(tmp_path / "x.json", rows)))


# Names of pictures


@pytest.mark.parametrize(
    "name", ["{0:04d}_cam2.jpg", "base_{0:04d}_jpg.rf.{1}.jpg", "out3/{0}.png"]
)
def test_digits_besides_the_frames_number(name: str, tmp_path: Path) -> None:
    path = files.alphapose(tmp_path / "x.json", range(20))
    rows = json.loads(path.read_text())
    for row in rows:
        number = int(row["image_id"].removesuffix(".jpg"))
        row["image_id"] = name.format(number, f"{number * 7919 % 1013:x}a{number}b")
    assert_same_people(read(dump(path, rows)))


def two_videos(tmp_path: Path) -> Path:
    path = files.coco_annotations(tmp_path / "x.json", range(20))
    content = json.loads(path.read_text())
    more = json.loads(files.coco_annotations(tmp_path / "y.json", range(20), 1).read_text())
    for image in more["images"]:
        image["id"] += 1000
        image["file_name"] = image["file_name"].replace("clip", "other")
    for row in more["annotations"]:
        row["image_id"] += 1000
    both = {key: content[key] + more[key] for key in ("images", "annotations")}
    return dump(path, content | both)


def test_two_videos_in_a_file_are_named_and_chosen(tmp_path: Path) -> None:
    path = two_videos(tmp_path)
    message = (
        r"x.json holds 2 videos: clip \(20 frames\), other \(20 frames\); choose one with "
        "--video-name 'clip'"
    )
    with pytest.raises(UsageError, match=message):
        read(path, size=None)
    assert_same_people(read(path, size=None, video_name="clip"))
    poses, told = read_keypoints(path, fps=FPS, video_name="other")
    assert_same_people(poses, people=1)
    assert told["video_name"] == "other"
    with pytest.raises(UsageError, match=r"--video-name third: .* holds clip"):
        read(path, size=None, video_name="third")


def test_a_video_of_a_file_without_videos(tmp_path: Path) -> None:
    path = files.coco(tmp_path / "x.json", range(20))
    with pytest.raises(UsageError, match=r"--video-name a: .* names no videos"):
        read(path, video_name="a")


def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    path = files.coco_annotations(tmp_path / "x.json", range(20))
    content = json.loads(path.read_text())
    content["images"][1]["file_name"] = content["images"][0]["file_name"]
    with pytest.raises(KeypointsError, match=r"the image 'clip_000000\.jpg' is there twice"):
        read(dump(path, content), size=None)


# Categories of COCO


def with_categories(tmp_path: Path, *categories: dict[str, Any], dog: int = 7) -> Path:
    """The second person is of the category `dog`."""
    path = files.coco_annotations(tmp_path / "x.json", range(20))
    content = json.loads(path.read_text())
    for row in content["annotations"][1::2]:
        row["category_id"] = dog
    return dump(path, content | {"categories": list(categories)})


PERSON = {"id": 1, "name": "person", "keypoints": list(COCO17.joint_names)}
DOG = {"id": 7, "name": "dog", "keypoints": ["nose", "tail", *(f"p{n}" for n in range(15))]}


@pytest.mark.parametrize(
    "categories",
    [
        [PERSON, DOG],
        [DOG, PERSON],
        [{"id": 7, "name": "ball"}, PERSON],
        [{"id": 7, "name": "ball", "keypoints": []}, PERSON],
        [PERSON | {"name": "athlete"}, DOG],
        [PERSON, PERSON | {"id": 7, "name": "statue"}],
    ],
)
def test_only_people_are_read(categories: list[dict[str, Any]], tmp_path: Path) -> None:
    assert_same_people(read(with_categories(tmp_path, *categories), size=None), people=1)


def test_two_kinds_of_people(tmp_path: Path) -> None:
    players = [PERSON | {"name": "player"}, PERSON | {"id": 7, "name": "referee"}]
    assert_same_people(read(with_categories(tmp_path, *players), size=None))


def results(tmp_path: Path, *categories: int, named: bool = False) -> Path:
    """One person is of each category; pictures have names or numbers."""
    rows = json.loads(files.coco(tmp_path / "x.json", range(20), len(categories)).read_text())
    for n, row in enumerate(rows):
        row["category_id"] = categories[n % len(categories)]
        row["image_id"] = f"clip_{row['image_id']}" if named else row["image_id"]
    return dump(tmp_path / "x.json", rows)


@pytest.mark.parametrize("named", [False, True])
def test_categories_of_results_without_names(named: bool, tmp_path: Path) -> None:
    path = results(tmp_path, 1, 18, named=named)
    poses, told = read_keypoints(path, fps=FPS, size=SIZE)
    assert_same_people(poses, people=1)
    (warning,) = told["warnings"]
    assert re.search(r"1 is taken as people, .* left out \(20 of 40 rows\)", warning)
    poses, told = read_keypoints(results(tmp_path, 0, 0, named=named), fps=FPS, size=SIZE)
    assert_same_people(poses)
    assert "warnings" not in told


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("categories", [(0, 1), (1, 0), (0, 16), (2, 3), (1, 100)])
def test_categories_that_do_not_tell_who_is_a_person(
    categories: tuple[int, ...], named: bool, tmp_path: Path
) -> None:
    message = rf"which of its categories are people \({categories[0]}, {categories[1]}\); keep"
    with pytest.raises(KeypointsError, match=message):
        read(results(tmp_path, *categories, named=named))


def test_annotations_without_categories(tmp_path: Path) -> None:
    with pytest.raises(KeypointsError, match=r"which of its categories are people \(1, 0\)"):
        read(with_categories(tmp_path, dog=0), size=None)
    assert_same_people(read(with_categories(tmp_path), size=None), people=1)


def test_categories_with_names_but_no_joints(tmp_path: Path) -> None:
    dog, person = {"id": 7, "name": "dog"}, {"id": 1, "name": "person"}
    assert_same_people(read(with_categories(tmp_path, dog, person), size=None), people=1)
    assert_same_people(read(with_categories(tmp_path, dog, dog=1), size=None))
    path = with_categories(tmp_path, dog, person | {"name": "player"})
    poses, told = read_keypoints(path, fps=FPS)
    assert_same_people(poses)
    assert "all of its categories ('dog', 'player') are taken as people" in told["warnings"][0]


@pytest.mark.parametrize("category", ["a", [1], {}, 1.5, True], ids=repr)
def test_a_category_that_is_no_number(category: Any, tmp_path: Path) -> None:
    path = with_categories(tmp_path, PERSON, dog=category)
    with pytest.raises(KeypointsError, match=r"annotations\[1\].category_id is not a whole number"):
        read(path, size=None)


def test_joints_with_names_of_their_own(tmp_path: Path) -> None:
    numbers = {"id": 1, "name": "person", "keypoints": [str(n) for n in range(1, 18)]}
    path = with_categories(tmp_path, numbers, dog=1)
    with pytest.raises(KeypointsError, match="'person' lacks nose, left_shoulder"):
        read(path, size=None)
    assert_same_people(read(path, size=None, skeleton="coco17"))
    with pytest.raises(KeypointsError, match=r"has 17 joints, not 26 \(halpe26\)"):
        read(path, size=None, skeleton="halpe26")
    two = with_categories(tmp_path, numbers | {"name": "a"}, DOG)
    with pytest.raises(KeypointsError, match="has 'a', 'dog' with 17 joints each"):
        read(two, size=None, skeleton="coco17")


def test_joints_in_another_order_contradict_the_skeleton(tmp_path: Path) -> None:
    order = PERSON | {"keypoints": [*COCO17.joint_names[::-1]]}
    path = with_categories(tmp_path, order, dog=1)
    with pytest.raises(UsageError, match=r"joints in another order \(right_ankle, left_ankle"):
        read(path, size=None, skeleton="coco17")


@pytest.mark.parametrize("within", ["annotation", "attributes"])
def test_tracks_of_annotations(within: str, tmp_path: Path) -> None:
    path = files.coco_annotations(tmp_path / "x.json", range(20))
    content = json.loads(path.read_text())
    for n, row in enumerate(content["annotations"]):
        track = {"track_id": 11 - n % 2}
        row |= track if within == "annotation" else {"attributes": track | {"occluded": False}}
    poses = read(dump(path, content), size=None)
    assert_same_people(poses)
    assert sorted(poses.person_ids.tolist()) == [10, 11]


def test_scores_in_annotations(tmp_path: Path) -> None:
    path = files.coco_annotations(tmp_path / "x.json", range(20))
    content = json.loads(path.read_text())
    for row in content["annotations"]:
        row["keypoints"][2::3] = [0.3] * 17
    poses = read(dump(path, content), size=None)
    np.testing.assert_allclose(poses.scores_2d, 0.3, atol=1e-6)
    for row in content["annotations"]:
        row["keypoints"][2::3] = [1, 2] * 8 + [1]
    poses = read(dump(path, content), size=None)
    np.testing.assert_allclose(poses.scores_2d, 1)


def test_ids_of_images_are_no_frame_numbers(tmp_path: Path) -> None:
    """PoseTrack's are longer."""
    path = files.coco_annotations(tmp_path / "x.json", range(20))
    content = json.loads(path.read_text())
    for image in content["images"]:
        image["id"] += 10003420000
    for row in content["annotations"]:
        row["image_id"] += 10003420000
    assert_same_people(read(dump(path, content), size=None))
    content["images"] = [{"id": image["id"]} for image in content["images"]]
    with pytest.raises(KeypointsError, match="the number of image 10003420900 is 10003420900, not"):
        read(dump(path, content))
    content["images"][0]["id"] = 10**18 + 1
    with pytest.raises(KeypointsError, match=r"images\[0\].id is 1e\+18, not between"):
        read(dump(path, content))


def test_images_of_the_size_0(tmp_path: Path) -> None:
    """VIA writes it."""
    path = files.coco_annotations(tmp_path / "x.json", range(20))
    content = json.loads(path.read_text())
    for image in content["images"]:
        image |= {"width": 0, "height": 0}
    assert_same_people(read(dump(path, content)))
    with pytest.raises(UsageError, match="does not tell the video's size"):
        read(path, size=None)


# OpenPose and those who write its format


@pytest.mark.parametrize("nothing", [[], None], ids=repr)
def test_hands_without_a_body_are_nobody(nothing: Any, tmp_path: Path) -> None:
    path = files.openpose(tmp_path / "x", range(20))
    for file in path.iterdir():
        content = json.loads(file.read_text())
        content["people"].insert(0, {"pose_keypoints_2d": nothing, "face_keypoints_2d": [1, 2, 1]})
        dump(file, content)
    assert_same_people(read(path))


def comfyui(tmp_path: Path, part: bool = False, people: int = 2) -> Path:
    """As saved by ComfyUI's DWPose node; the first 12 frames have no people."""
    scale = [*SIZE, 1] if part else [1, 1, 1]

    def body(i: int, who: int) -> dict[str, Any]:
        joints = flat(in_skeleton(OPENPOSE18, person(i, who)))
        numbers = [n / scale[place % 3] for place, n in enumerate(joints)]
        return {"pose_keypoints_2d": numbers, "hand_left_keypoints_2d": None}

    canvas = {"canvas_height": SIZE[1], "canvas_width": SIZE[0]}
    frames = [
        {"people": [body(i, w) for w in range(people if i >= 12 else 0)]} | canvas
        for i in range(40)
    ]
    return dump(tmp_path / "x.json", frames)


@pytest.mark.parametrize("part", [False, True])
def test_a_list_of_frames_of_openpose(part: bool, tmp_path: Path) -> None:
    poses, told = read_keypoints(comfyui(tmp_path, part), fps=FPS)
    assert (poses.people, poses.frames, poses.frame_size) == (2, 40, SIZE)
    wanted = [in_h36m17(OPENPOSE18, i) for i in range(12, 40)]
    np.testing.assert_allclose(poses.keypoints_2d[0, 12:], wanted, atol=1e-3)
    assert not poses.observed[:, :12].any()
    assert (told["format"], told.get("normalised", False)) == ("openpose", part)
    assert "the first entry is taken as frame 0" in told["warnings"][0]


def test_canvases_of_several_sizes_are_no_size(tmp_path: Path) -> None:
    content = json.loads(comfyui(tmp_path).read_text())
    content[7]["canvas_width"] = 64
    with pytest.raises(UsageError, match="does not tell the video's size"):
        read(dump(tmp_path / "x.json", content), size=None)
    assert read(tmp_path / "x.json").people == 2


def test_people_of_others_are_not_openposes(tmp_path: Path) -> None:
    rows = [{"frame": i, "people": [{"landmarks": files.landmarks(i, 0)}]} for i in range(20)]
    _, told = read_keypoints(dump(tmp_path / "x.json", rows), fps=FPS, size=SIZE)
    assert told["format"] == "mediapipe"


def test_17_joints_in_the_format_of_openpose_are_not_guessed(tmp_path: Path) -> None:
    path = files.openpose(tmp_path / "x", range(20), 2, COCO17)
    with pytest.raises(UsageError, match="skeleton of its 17 joints; give --skeleton coco17"):
        read(path)
    assert_same_people(read(path, skeleton="coco17"))


def test_body_25b_is_asked_for(tmp_path: Path) -> None:
    """It has as many joints as BODY_25, but its `hip` joint is not between the hips."""
    path = files.openpose(tmp_path / "x", range(20), 1, OPENPOSE25B)
    with pytest.raises(UsageError, match="its joints are not openpose25's"):
        read(path)
    poses = read(path, skeleton="openpose25b")
    wanted = in_h36m17(OPENPOSE25B, 3)
    np.testing.assert_allclose(poses.keypoints_2d[0, 3], wanted, atol=1e-3)


def test_parts_of_the_picture_from_openpose(tmp_path: Path) -> None:
    """`--keypoint_scale 3`."""
    path = files.openpose(tmp_path / "x", range(20), 1, OPENPOSE18)
    for file in path.iterdir():
        content = json.loads(file.read_text())
        content["people"][0]["pose_keypoints_2d"] = [
            n / (*SIZE, 1)[place % 3]
            for place, n in enumerate(content["people"][0]["pose_keypoints_2d"])
        ]
        dump(file, content)
    poses, told = read_keypoints(path, fps=FPS, size=SIZE)
    np.testing.assert_allclose(poses.keypoints_2d[0, 3], in_h36m17(OPENPOSE18, 3), atol=1e-3)
    assert told["normalised"]


def test_a_folder_of_folders_is_named(tmp_path: Path) -> None:
    for camera in ("cam1_json", "cam2_json"):
        files.openpose(tmp_path / camera, range(3))
    with pytest.raises(KeypointsError, match="give one of its folders: cam1_json, cam2_json"):
        read(tmp_path)


def test_another_file_in_the_folder_is_named(tmp_path: Path) -> None:
    path = files.pose2sim(tmp_path / "x", range(20))
    dump(path / "cam_000020.json", {"fps": 30})
    with pytest.raises(
        KeypointsError, match=r"cam_000020\.json: the file is not of the format open"
    ):
        read(path)


def test_frames_are_by_number_not_by_name(tmp_path: Path) -> None:
    """2.json comes before 10.json."""
    path = files.openpose(tmp_path / "x", range(20), 2, OPENPOSE25)
    for i, file in enumerate(sorted(path.iterdir())):
        file.rename(path / f"{i}.json")
    poses = read(path)
    wanted = [in_h36m17(OPENPOSE25, frame) for frame in range(20)]
    np.testing.assert_allclose(poses.keypoints_2d[0], wanted, atol=1e-3)


# MMPose


@pytest.mark.parametrize("numbered", [True, False])
def test_what_the_inferencer_returns(numbered: bool, tmp_path: Path) -> None:
    rows = json.loads(files.mmpose(tmp_path / "x.json", range(20)).read_text())
    content = [
        {"visualization": [], "predictions": [row["instances"]]}
        | ({"frame": row["frame_id"]} if numbered else {})
        for row in rows
    ]
    path = dump(tmp_path / "x.json", content)
    poses, told = read_keypoints(path, skeleton="coco17", fps=FPS, size=SIZE)
    assert_same_people(poses)
    assert told["format"] == "mmpose"
    assert ("warnings" in told) == (not numbered)


# Ultralytics


def test_joints_at_0_0_are_missing_whatever_their_score(tmp_path: Path) -> None:
    """Ultralytics writes 0, 0 and the score for joints below one half."""
    path = files.ultralytics(tmp_path / "x.json", range(20), 1)
    content = json.loads(path.read_text())
    for row in content.values():
        joints = row[0]["keypoints"]
        for values, value in ((joints["x"], 0.0), (joints["y"], 0.0), (joints["visible"], 0.4)):
            values[15] = value
    poses = read(dump(path, content))
    foot = H36M17.index("LFoot")
    assert np.isnan(poses.keypoints_2d[0, :, foot]).all()
    assert (poses.scores_2d[0, :, foot] == 0).all()


def test_a_list_of_frames_is_counted_and_said(tmp_path: Path) -> None:
    path = files.ultralytics(tmp_path / "x.json", range(20))
    rows = list(json.loads(path.read_text()).values())
    poses, told = read_keypoints(dump(path, rows), fps=FPS, size=SIZE)
    assert_same_people(poses)
    assert "the first entry is taken as frame 0" in told["warnings"][0]


def test_a_folder_with_a_json_for_each_frame(tmp_path: Path) -> None:
    content = json.loads(files.ultralytics(tmp_path / "x.json", range(20)).read_text())
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, people in content.items():
        dump(folder / f"frame_{number}.json", people)
    dump(folder / "frame_20.json", [])  # nobody
    poses = read(folder)
    assert_same_people(poses, 21, observed=20)
    assert not poses.observed[:, 20].any()


@pytest.mark.parametrize("each", [2, 3])
def test_labels_without_scores_of_the_person(each: int, tmp_path: Path) -> None:
    path = files.yolo_labels(tmp_path / "x", range(20))
    for file in path.glob("clip_*.txt"):
        rows = [line.split()[:-1] for line in file.read_text().splitlines()]
        keep = [n for n in range(len(rows[0])) if n < 5 or (n - 5) % 3 < each]
        file.write_text("\n".join(" ".join(row[n] for n in keep) for row in rows))
    assert_same_people(read(path))


def test_labels_of_other_joints(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.mkdir()
    joints = files.part(in_skeleton(HALPE26, person(0)))
    numbers = [n for x, y in joints.tolist() for n in (x, y, 2)]
    (path / "a_0.txt").write_text(" ".join(map(str, [0, 0.5, 0.5, 0.1, 0.1, *numbers])))
    with pytest.raises(KeypointsError, match=r"line 1 has 83 numbers, .* 17 joints \(coco17\)"):
        read(path)
    assert read(path, skeleton="halpe26").people == 1
    (path / "a_0.txt").write_text("person 0.5 0.5")
    with pytest.raises(KeypointsError, match="is no label file of YOLO"):
        read(path)


# MediaPipe


@pytest.mark.parametrize("nested", ["list", "people", "names", "numbers", "lists"])
def test_landmarks_as_people_write_them(nested: str, tmp_path: Path) -> None:
    def frame(i: int) -> Any:
        points = files.landmarks(i, 0)
        if nested == "people":
            return {"frame_number": i, "poses": [{"landmarks": points}]}
        if nested == "names":
            return {"frame": i} | dict(zip(BLAZEPOSE33.joint_names, points, strict=True))
        if nested == "lists":
            return [list(point.values()) for point in points]
        return points

    content: Any = [frame(i) for i in range(20)]
    if nested == "names":
        content = [{"frame": one.pop("frame"), "landmarks": one} for one in content]
    if nested == "numbers":
        content = {f"frame_{i}": one for i, one in enumerate(content)}
    poses = read(dump(tmp_path / "x.json", content))
    wanted = [in_h36m17(BLAZEPOSE33, i) for i in range(20)]
    np.testing.assert_allclose(poses.keypoints_2d[0], wanted, atol=1e-3)
    np.testing.assert_allclose(poses.scores_2d[0], files.SCORE, atol=1e-6)


def test_world_landmarks_are_refused(tmp_path: Path) -> None:
    path = files.mediapipe(tmp_path / "x.json", range(20), 1)
    content = json.loads(path.read_text())
    for row in content["frames"]:
        points = row["pose_landmarks"][0]
        for axis in "xy":
            middle = (points[23][axis] + points[24][axis]) / 2
            for point in points:
                point[axis] -= middle
    with pytest.raises(KeypointsError, match="in metres from the hips"):
        read(dump(path, content))


def test_frames_without_a_number_are_counted_and_said(tmp_path: Path) -> None:
    """The CSV of tutorials: a class, then x1, y1, z1, v1 ..., without frame numbers."""
    path = files.mediapipe_csv(tmp_path / "x", range(20), 1)
    lines = [line.split(",")[2:] for line in path.read_text().splitlines()]
    lines = [["class" if n == 0 else "walk", *line] for n, line in enumerate(lines)]
    poses, told = read_keypoints(files.table(path, lines), fps=FPS, size=SIZE)
    wanted = [in_h36m17(BLAZEPOSE33, i) for i in range(20)]
    np.testing.assert_allclose(poses.keypoints_2d[0], wanted, atol=1e-3)
    assert "has no column of frame numbers" in told["warnings"][0]


# Tables


def test_an_index_of_pandas_counts_the_frames(tmp_path: Path) -> None:
    path = files.sleap(tmp_path / "x", range(5, 25), 1)
    lines = [line.split(",") for line in path.read_text().splitlines()]
    lines = [[line[1] if n else "", *line[3:]] for n, line in enumerate(lines)]
    poses = read(files.table(path, lines, "\t"))
    assert poses.frame_indices.tolist() == list(range(5, 25))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3\n4,5,6\n", "no line that names its columns"),
        ("frame,weight\n1,2\n", "no line that names its columns"),
        ("frame,box_x,box_y\n1,2,3\n", "no columns of 2D joints such as nose_x"),
        ("frame,tail_x,tail_y\n1,2,3\n", r"joints of no known skeleton \(tail\); nose, left_"),
        ("frame,x,y\n1,2,3\n", "a row for each joint, but no column 'joint'"),
        ("joint,x,y\nnose,2,3\n", "a row for each joint, but no column 'frame'"),
        ("scorer,a,a\nx,nose,nose\n", "lacks 'bodyparts' or 'coords'"),
        ("", "no line that names its columns"),
        ("\x00\x01", "no line that names its columns"),
    ],
)
def test_tables_that_are_none(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(KeypointsError, match=message):
        read(path)


def test_cells_that_are_no_numbers(tmp_path: Path) -> None:
    path = files.sleap(tmp_path / "x", range(3))
    path.write_text(path.read_text().replace("track_5,1,0.9,", "track_5,1,0.9,oops", 1))
    with pytest.raises(KeypointsError, match=r"line 4, Rankle.x: 'oops.*' is no number"):
        read(path)


def test_numbered_joints_of_17_are_not_guessed(tmp_path: Path) -> None:
    head = [f"kp{j}_{axis}" for j in range(17) for axis in "xy"]
    rows = [[i, *person(i).ravel().tolist()] for i in range(20)]
    path = files.table(tmp_path / "x", [["frame", *head], *rows])
    with pytest.raises(UsageError, match="skeleton of its 17 joints"):
        read(path)
    assert_same_people(read(path, skeleton="coco17"), people=1)


# DeepLabCut


def test_deeplabcut_with_one_animal_and_pictures_as_frames(tmp_path: Path) -> None:
    path = files.deeplabcut(tmp_path / "x", range(20), 1)
    lines = [line.split(",") for line in path.read_text().splitlines()]
    kept = [line for line in lines if line[0] != "individuals"]
    labels = [
        [f"labeled-data/clip/img{int(line[0]):04d}.png", *line[1:]] if line[0].isdigit() else line
        for line in kept
    ]
    for rows in (kept, labels):
        poses = read(files.table(path, [line[:-3] for line in rows]))
        assert_same_people(poses, people=1)


# NumPy


def test_freemocap_holds_cameras(tmp_path: Path) -> None:
    joints = np.zeros((2, 20, 553, 3))
    for camera in range(2):
        for i in range(20):
            joints[camera, i, :33, :2] = in_skeleton(BLAZEPOSE33, person(i, camera))
    joints[..., 2] = -40
    np.save(tmp_path / "x.npy", joints)
    with pytest.raises(UsageError, match=r"holds 2 videos: 0 \(20 frames\), 1 \(20 frames\)"):
        read(tmp_path / "x.npy")
    poses = read(tmp_path / "x.npy", video_name="1")
    wanted = [in_h36m17(BLAZEPOSE33, i, 1) for i in range(20)]
    np.testing.assert_allclose(poses.keypoints_2d[0], wanted, atol=1e-3)


def test_a_depth_is_no_score(tmp_path: Path) -> None:
    joints = np.random.default_rng(0).normal(300, 100, (20, 17, 3))
    np.save(tmp_path / "x.npy", joints)
    with pytest.raises(KeypointsError, match="third column that is no score"):
        read(tmp_path / "x.npy", skeleton="coco17")


# Other files


def test_a_line_of_json_for_each_frame(tmp_path: Path) -> None:
    rows = json.loads(files.mmpose(tmp_path / "x.json", range(20)).read_text())
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    assert_same_people(read(path, skeleton="coco17"))


def test_a_byte_order_mark(tmp_path: Path) -> None:
    path = files.mmpose(tmp_path / "x.json", range(20))
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert_same_people(read(path, skeleton="coco17"))
    table = files.deeplabcut(tmp_path / "y", range(20))
    table.write_text(table.read_text(), encoding="utf-16")
    assert_same_people(read(table))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.mp4", b"\0\0\0\x20ftypisom", "is a video; `vidpose infer .*a.mp4`"),
        ("a.json", b"\x1a\x45\xdf\xa3", "is a video; `vidpose infer .*a.json`"),
        ("a.ts", (b"\x47" + b"\0" * 187) * 2, "is a video"),
        ("a.jpg", b"\xff\xd8\xff\xe0", "is an image; `vidpose infer"),
        ("a.h5", b"\x89HDF\r\n", "analyze_videos_converth5_to_csv"),
        ("a.pkl", b"\x80\x04\x95", "is a pickle"),
        ("a.xlsx", b"PK", "is a spreadsheet; save it as CSV"),
        ("a.trc", b"PathFileType", "save_pose"),
        ("a.c3d", b"\x02\x50", "needs no lifting"),
        ("a.md", b"# Words\n", "is not in a known format"),
        ("a.dat", b"a,b\n1,2\n", "no line that names its columns"),
        ("a.txt", b"frame;x\n1;2\n", "no column"),
        ("a.json", gzip.compress(b"[]", mtime=0), r"is compressed; unpack it first \(gunzip\)"),
        ("a.csv.gz", gzip.compress(b"[]", mtime=0), "is compressed; unpack it first"),
        ("a.json", lzma.compress(b"[]"), r"is compressed; unpack it first \(unxz\)"),
        ("a.json", bz2.compress(b"[]"), r"is compressed; unpack it first \(bunzip2\)"),
        ("a.json", b"\x28\xb5\x2f\xfd\x04", r"is compressed; unpack it first \(unzstd\)"),
        ("a.json", b"PK\x03\x04\x14", r"is an archive; unpack it first \(unzip\)"),
        ("a.xlsx", b"PK\x03\x04\x14", "is a spreadsheet; save it as CSV"),
    ],
)
def test_files_that_are_something_else(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VidposeError, match=message) as error:
        read(tmp_path / name)
    assert error.value.exit_code == (2 if re.match("is (a video|an image)", message) else 1)


def test_the_reported_files() -> None:
    """The original files of the bug reports, if available; the tests above cover their kinds."""
    size: dict[str, Any] = {"size": (884, 498)}
    itself: dict[str, Any] = {"size": None}  # COCO's annotations say it
    reported: list[tuple[str, dict[str, Any], int]] = [
        ("alphapose_idx_all_zero", size, 2),
        ("alphapose_idx_merged", size, 2),
        ("alphapose_digits_after_number", size, 2),
        ("coco_roboflow_names", itself, 2),
        ("coco_empty_first_category", itself, 2),
        ("coco_person_and_dog", itself, 1),
        ("coco_own_joint_names", itself | {"skeleton": "coco17"}, 2),
    ]
    for name, options, people in reported if CASES.is_dir() else ():
        reference = read(CASES / "alphapose_tracked_reference.json", **size)
        poses = read(CASES / f"{name}.json", **options)
        assert (poses.people, poses.frames) == (people, reference.frames), name
        for one in poses.keypoints_2d:
            apart = [np.nanmax(np.abs(one - other)) for other in reference.keypoints_2d]
            assert min(apart) < 1e-3, name


def flat_nested(joints: Any) -> list[list[float]]:
    numbers = flat(joints)
    return [numbers[n : n + 3] for n in range(0, len(numbers), 3)]


def test_joints_that_are_nested_in_triples(tmp_path: Path) -> None:
    rows = [
        {"image_id": i, "category_id": 1, "keypoints": flat_nested(person(i, w))}
        for i in range(20)
        for w in range(2)
    ]
    assert_same_people(read(dump(tmp_path / "x.json", rows)))
