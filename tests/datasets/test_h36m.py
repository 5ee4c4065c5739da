from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidpose.datasets import open_dataset
from vidpose.datasets.cameras import h36m_cameras
from vidpose.datasets.synthetic import write_synthetic
from vidpose.errors import DataError, UsageError
from vidpose.utils.npz import read_npz, write_pickled_npz

WORLD, SEEN, DETECTED = (
    *("data_3d_h36m.npz", "data_2d_h36m_gt.npz"),
    "data_2d_h36m_cpn_ft_h36m_dbb.npz",
)
SUBJECTS: dict[str, Any] = {"train_subjects": ("S1",), "test_subjects": ("S9", "S11")}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("h36m")
    actions = ("Directions", "Sitting", "SittingDown")
    write_synthetic(folder, subjects=("S1", "S9", "S11"), actions=actions, seconds=0.5)
    return folder


def changed(made: Path, folder: Path, file: str, change: Callable[[Any], None]) -> Path:
    """The files with something wrong in one of them."""
    for path in made.iterdir():
        entries = read_npz(path)
        if path.name == file:
            change(entries)
        write_pickled_npz(folder / path.name, entries)
    return folder


def test_the_usual_protocol(made: Path) -> None:
    dataset = open_dataset("h36m", made, **SUBJECTS)
    assert dataset.keypoints == "cpn_ft_h36m_dbb"
    assert dataset.skeleton.name == "h36m17"
    assert len(dataset.train) == 6 * 4
    assert len(dataset.test) == 11 * 4  # the first "Directions" of S11 was never there
    first = dataset.train[0]
    assert (first.name, first.fps, first.frame_size) == ("S1/Directions/54138969", 50, (1000, 1002))
    assert first.focal_px == pytest.approx(1144.415, abs=1e-3)
    assert first.valid.all()
    assert len(first) == 25  # the detections go on for two frames more
    detected = read_npz(made / DETECTED)["positions_2d"]["S1"]["Directions"][0]
    np.testing.assert_array_equal(first.keypoints_2d, detected[:25])
    assert [s.action for s in dataset.test[-8::4]] == ["SittingDown", "SittingDown 1"]


def test_3d_is_what_the_camera_sees(made: Path) -> None:
    dataset = open_dataset("h36m", made, keypoints="gt", **SUBJECTS)
    for sequence in dataset.test[:8]:
        camera = next(c for c in h36m_cameras()["S9"] if c.id == sequence.camera)
        seen = camera.project(sequence.joints_3d)
        np.testing.assert_allclose(seen, sequence.keypoints_2d, atol=2e-3)
    world = read_npz(made / WORLD)["positions_3d"]["S1"]["Sitting"]
    camera = h36m_cameras()["S1"][1]
    sequence = next(s for s in dataset.train if s.name == "S1/Sitting/55011271")
    hip_and_right_wrist = camera.world_to_camera(world[:, [0, 27]])
    np.testing.assert_allclose(sequence.joints_3d[:, [0, 16]], hip_and_right_wrist, atol=1e-6)


def test_actions_are_whole_names(made: Path) -> None:
    sitting = open_dataset("h36m", made, actions=["Sitting"], **SUBJECTS)
    assert {s.action for s in sitting.train} == {"Sitting", "Sitting 1"}
    with pytest.raises(
        DataError,
        match=r"data_3d_h36m\.npz: positions_3d has no action Sit; it has Directions, Sitting, S",
    ):
        open_dataset("h36m", made, actions=["Sit"], **SUBJECTS)


def test_subjects_and_downsampling(made: Path) -> None:
    dataset = open_dataset(
        "h36m", made, train_subjects=["S9"], test_subjects=[], downsample=4, keypoints="gt"
    )
    assert {s.subject for s in dataset.train} == {"S9"}
    assert dataset.test == ()
    assert (len(dataset.train[0]), dataset.train[0].fps) == (7, 12.5)
    whole = open_dataset("h36m", made, train_subjects=["S9"], test_subjects=["S1"], keypoints="gt")
    np.testing.assert_array_equal(dataset.train[0].joints_3d, whole.train[0].joints_3d[::4])
    # Whoever is trained on is not tested on, unless asked for twice.
    assert {
        s.subject for s in open_dataset("h36m", made, **SUBJECTS | {"test_subjects": None}).test
    } == {
        "S9",
        "S11",
    }
    with pytest.raises(UsageError, match="S9 is both"):
        open_dataset("h36m", made, train_subjects=["S9"], test_subjects=["S9"])
    with pytest.raises(DataError, match="positions_3d has no subject S5; it has S1, S11, S9"):
        open_dataset("h36m", made)
    with pytest.raises(UsageError, match="downsample 0"):
        open_dataset("h36m", made, downsample=0)


def test_additional_content_of_the_2d_file_is_ignored(made: Path, tmp_path: Path) -> None:
    def more(entries: Any) -> None:
        seen = entries["positions_2d"]
        seen["S2"] = {"Walking": "whatever"}
        seen["S1"]["Walking"] = [np.full((3, 17, 2), np.nan, np.float32)] * 4
        seen["S11"]["Directions"] = []

    dataset = open_dataset("h36m", changed(made, tmp_path, DETECTED, more), **SUBJECTS)
    assert len(dataset.train) == 24


def test_the_corrupt_take_is_excluded(made: Path, tmp_path: Path) -> None:
    def add(entries: Any) -> None:
        s11 = entries["positions_3d"]["S11"]
        s11["Directions"] = s11["Directions 1"]

    dataset = open_dataset("h36m", changed(made, tmp_path, WORLD, add), **SUBJECTS)
    assert ("S11", "Directions") not in {s.take for s in dataset.test}
    assert ("S11", "Directions 1") in {s.take for s in dataset.test}


def _shorter(entries: Any) -> None:
    views = entries["positions_2d"]["S9"]["Sitting 1"]
    views[2] = views[2][:20]


def _not_a_number(entries: Any) -> None:
    view = entries["positions_2d"]["S9"]["Sitting 1"][3].copy()
    view[7, 3, 1] = np.nan
    entries["positions_2d"]["S9"]["Sitting 1"][3] = view


def _no_take(entries: Any) -> None:
    del entries["positions_2d"]["S9"]["Sitting 1"]


def _no_subject(entries: Any) -> None:
    del entries["positions_2d"]["S11"]


def _three_cameras(entries: Any) -> None:
    entries["positions_2d"]["S9"]["Sitting 1"].pop()


def _coco(entries: Any) -> None:
    pairs = [list(range(1, 17, 2)), list(range(2, 17, 2))]
    entries["metadata"] |= {"layout_name": "coco", "keypoints_symmetry": pairs}


def _sixteen(entries: Any) -> None:
    entries["metadata"]["num_joints"] = 16


def _sixteen_unsaid(entries: Any) -> None:
    entries["positions_2d"]["S1"]["Sitting"][0] = np.zeros((25, 16, 2), np.float32)


def _no_dict(entries: Any) -> None:
    entries["positions_2d"] = np.zeros((3, 17, 2))


def _text(entries: Any) -> None:
    entries["positions_2d"]["S1"]["Sitting"][0] = "here"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _shorter,
            "positions_2d, S9, Sitting 1, camera 58860488: expected 25 frames or more, as many as "
            r"data_3d_h36m\.npz has, found 20",
        ),
        (
            _not_a_number,
            "positions_2d, S9, Sitting 1, camera 60457274: expected finite numbers, found NaN or "
            "infinity in 1 of 27 frames, first in frame 7",
        ),
        (_no_take, "positions_2d, S9, Sitting 1 is missing, but"),
        (_no_subject, "positions_2d has no subject S11; it has S1, S9"),
        (_three_cameras, "positions_2d, S9, Sitting 1: expected 4 cameras, found 3"),
        (_coco, r"metadata: expected joints in the order of h36m17 .*, found \[\[1, 3"),
        (_sixteen, "metadata: expected 17 joints, those of h36m17, found 16"),
        (
            _sixteen_unsaid,
            r"54138969: expected numbers \(frames, 17, 2 or 3\), found float32 \(25, 16, 2\)",
        ),
        (_no_dict, r"positions_2d: expected a dict, found float64 \(3, 17, 2\)"),
        (_text, r"expected numbers \(frames, 17, 2 or 3\), found 'here'"),
        (lambda entries: entries.pop("positions_2d"), "has no positions_2d, but metadata"),
    ],
)
def test_2d_that_cannot_be_used(
    made: Path, tmp_path: Path, change: Callable[[Any], None], message: str
) -> None:
    folder = changed(made, tmp_path, DETECTED, change)
    with pytest.raises(DataError, match=rf"data_2d_h36m_cpn_ft_h36m_dbb\.npz.*{message}"):
        open_dataset("h36m", folder, **SUBJECTS)


def _millimetres(entries: Any) -> None:
    entries["positions_3d"]["S1"]["Sitting"] = entries["positions_3d"]["S1"]["Sitting"] * 1000


def _seventeen(entries: Any) -> None:
    entries["positions_3d"]["S1"]["Sitting"] = np.zeros((25, 17, 3), np.float32)


def _stranger(entries: Any) -> None:
    entries["positions_3d"]["S1"] = []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _millimetres,
            r"positions_3d, S1, Sitting: expected metres, found a joint \d+ metres away",
        ),
        (
            _seventeen,
            r"S1, Sitting: expected numbers \(frames, 32, 3\), found float32 \(25, 17, 3\)",
        ),
        (_stranger, "positions_3d, S1: expected a dict, found a list of 0"),
        (lambda entries: entries["positions_3d"].pop("S9"), "positions_3d has no subject S9"),
    ],
)
def test_3d_that_cannot_be_used(
    made: Path, tmp_path: Path, change: Callable[[Any], None], message: str
) -> None:
    folder = changed(made, tmp_path, WORLD, change)
    with pytest.raises(DataError, match=rf"data_3d_h36m\.npz: .*{message}"):
        open_dataset("h36m", folder, **SUBJECTS)


def test_a_subject_without_cameras(made: Path, tmp_path: Path) -> None:
    def rename(entries: Any) -> None:
        for key in ("positions_3d", "positions_2d"):
            if key in entries:
                entries[key]["S2"] = entries[key]["S1"]

    changed(made, tmp_path, WORLD, rename)
    folder = changed(tmp_path, tmp_path / "both", DETECTED, rename)
    with pytest.raises(DataError, match="the cameras of S2 are not known"):
        open_dataset("h36m", folder, train_subjects=["S2"], test_subjects=["S1"])


def test_files_that_are_missing_or_half_there(made: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="is not a folder; give the folder with the files of h36m as --data"
    ):
        open_dataset("h36m", tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"data_3d_h36m\.npz does not exist"):
        open_dataset("h36m", tmp_path)
    with pytest.raises(DataError, match=r"data_2d_h36m_sh\.npz does not exist"):
        open_dataset("h36m", made, keypoints="sh", **SUBJECTS)
    content = (made / DETECTED).read_bytes()
    (tmp_path / WORLD).write_bytes((made / WORLD).read_bytes())
    (tmp_path / DETECTED).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cpn_ft_h36m_dbb\.npz is not .*incomplete, like an"):
        open_dataset("h36m", tmp_path, **SUBJECTS)
    with pytest.raises(UsageError, match="dataset coco: choose h36m, humaneva"):
        open_dataset("coco", tmp_path)
