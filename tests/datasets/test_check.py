import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bvh_files import bvh_text
from vidpose.datasets import check_dataset, find_datasets
from vidpose.datasets.check import Finding
from vidpose.datasets.marks import mark
from vidpose.datasets.synthetic import LAYOUTS, write_synthetic
from vidpose.errors import UsageError
from vidpose.skeleton import H36M17
from vidpose.utils.npz import read_npz, write_pickled_npz

WORLD, SEEN, DETECTED = (
    *("data_3d_h36m.npz", "data_2d_h36m_gt.npz"),
    "data_2d_h36m_cpn_ft_h36m_dbb.npz",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three layouts, each in a folder of its own; Human3.6M with one action of fifteen.

    They are marked as if they were real, since a mark of synthetic data begins what is found.
    """
    folder = tmp_path_factory.mktemp("made")
    for layout in LAYOUTS:
        actions = ("Walking",) if layout == "h36m" else None
        for path in write_synthetic(folder / layout, layout, actions=actions, seconds=0.3):
            write_pickled_npz(path, read_npz(path) | mark(layout))
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def change(path: Path, how: Callable[[Any], None]) -> None:
    entries = read_npz(path)
    how(entries)
    write_pickled_npz(path, entries)


def by_file(findings: list[Finding]) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.file, []).append(finding)
    return found


def test_datasets_are_found(made: Path, tmp_path: Path) -> None:
    assert find_datasets(made) == [(name, made / name) for name in sorted(LAYOUTS)]
    assert find_datasets(made / "h36m") == [("h36m", made / "h36m")]
    assert find_datasets(tmp_path) == []
    np.savez(tmp_path / "mine.npz", keypoints_2d=np.zeros(1), joints_3d=np.zeros(1))
    np.savez(tmp_path / "other.npz", something=np.zeros(1))
    (tmp_path / "mocap" / "01").mkdir(parents=True)
    (tmp_path / "mocap" / "01" / "a.bvh").write_text(bvh_text(frames=3))
    assert find_datasets(tmp_path) == [("custom", tmp_path), ("mocap", tmp_path / "mocap")]
    with pytest.raises(UsageError, match="is not a folder"):
        find_datasets(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="dataset coco: choose h36m"):
        check_dataset("coco", tmp_path)


def test_incomplete_human36m_can_be_opened(made: Path) -> None:
    world, detected, seen = check_dataset("h36m", made / "h36m")
    assert world.state == "note"
    assert world.found.startswith(
        "7 subjects, 14 takes; fewer than the public dataset has: S1 2 of"
    )
    assert world.found.endswith("S11 2 of 29")
    assert (detected.file, detected.state, detected.found) == (
        DETECTED,
        "ok",
        "840 frames in 56 views",
    )
    assert (seen.file, seen.state) == (SEEN, "ok")


def test_the_others_that_can_be_opened(made: Path) -> None:
    world, seen = check_dataset("humaneva", made / "humaneva")
    assert (world.state, world.found) == ("ok", "6 subjects, 60 takes")
    assert (seen.state, seen.found) == ("ok", "1,530 frames in 180 views")
    train, test, valid = check_dataset("mpi_inf_3dhp", made / "mpi_inf_3dhp")
    assert (train.state, train.found) == ("ok", "1,472 frames in 128 views")
    assert (test.state, test.found) == ("ok", "48 frames in 6 views")
    assert valid.state == "note"
    assert "TS1 7 of 603 valid frames" in valid.found


def test_takes_that_no_public_file_has_are_not_missed(copy: Path) -> None:
    """VideoPose3D's files, and ours from the raw download, lack a damaged take of S3."""
    folder = copy / "humaneva"

    def without(*subjects: str) -> Callable[[Any], None]:
        def how(entries: Any) -> None:
            for branch in (entries.get("positions_3d"), entries.get("positions_2d")):
                for subject in subjects if branch else ():
                    for action in [a for a in branch[subject] if a.startswith("ThrowCatch 1")]:
                        del branch[subject][action]

        return how

    for path in folder.glob("*.npz"):
        change(path, without("Train/S3", "Validate/S3", "Validate/S1"))
    assert {f.state for f in check_dataset("humaneva", folder)} == {"ok"}
    for path in folder.glob("*.npz"):
        change(path, without("Train/S2"))
    world = check_dataset("humaneva", folder)[0]
    assert world.found.endswith("fewer than the public dataset has: Train/S2 4 of 5")


def test_nothing_there(tmp_path: Path) -> None:
    findings = check_dataset("h36m", tmp_path)
    assert [(f.file, f.state, f.found) for f in findings] == [
        (WORLD, "broken", "missing"),
        (DETECTED, "broken", "missing"),
        (SEEN, "broken", "missing"),
    ]
    assert findings[0].fix == f"vidpose prepare h36m SOURCE -o '{tmp_path}'"
    assert findings[1].fix == (
        f"curl -fL -o '{tmp_path / DETECTED}' "
        f"https://dl.fbaipublicfiles.com/video-pose-3d/{DETECTED}"
    )
    for name in ("humaneva", "mpi_inf_3dhp", "custom", "mocap", "synthetic"):
        assert {f.state for f in check_dataset(name, tmp_path)} == {"broken"}


def test_one_kind_of_2d_is_enough(copy: Path) -> None:
    (copy / "h36m" / DETECTED).unlink()
    found = by_file(check_dataset("h36m", copy / "h36m"))
    assert [(f.state, f.found) for f in found[DETECTED]] == [("note", "missing")]
    assert found[SEEN][0].state == "ok"


def test_half_downloaded(copy: Path) -> None:
    path = copy / "h36m" / DETECTED
    path.write_bytes(path.read_bytes()[:5000])
    (finding,) = by_file(check_dataset("h36m", copy / "h36m"))[DETECTED]
    assert finding.state == "broken"
    assert "it is incomplete, like an interrupted download" in finding.found
    assert finding.fix is not None
    assert finding.fix.startswith("curl")


def test_problems_are_listed_up_to_a_limit(copy: Path) -> None:
    def spoil(entries: Any) -> None:
        for subject in ("S1", "S5", "S6", "S7"):
            for views in entries["positions_2d"][subject].values():
                views[1] = views[1][:3]
        entries["positions_2d"].pop("S9")

    change(copy / "h36m" / SEEN, spoil)
    found = by_file(check_dataset("h36m", copy / "h36m"))
    problems = [f.found for f in found[SEEN]]
    assert len(problems) == 6
    assert problems[0] == "no subject S9"
    assert problems[1] == (
        "positions_2d, S1, Walking, camera 55011271: expected 15 frames or more, as many as "
        f"{WORLD} has, found 3."
    )
    assert problems[5] == "and 4 more like that"
    assert {f.state for f in found[SEEN]} == {"broken"}
    assert found[DETECTED][0].state == "ok"


def test_a_subject_that_is_something_else(copy: Path) -> None:
    def spoil(entries: Any) -> None:
        entries["positions_2d"]["S1"] = [1, 2]
        entries["positions_2d"]["S5"][3] = entries["positions_2d"]["S5"].pop("Walking")

    change(copy / "h36m" / SEEN, spoil)
    assert [f.found for f in by_file(check_dataset("h36m", copy / "h36m"))[SEEN]] == [
        "positions_2d, S1: expected a dict, found a list of 2.",
        "positions_2d, S5: expected names, found 3.",
    ]


def test_a_subject_that_is_missing(copy: Path) -> None:
    change(copy / "h36m" / WORLD, lambda entries: entries["positions_3d"].pop("S8"))
    finding = check_dataset("h36m", copy / "h36m")[0]
    assert finding.state == "broken"
    assert finding.found == "6 subjects, 12 takes; no S8, which the protocol needs"


def test_3dhp_with_holes(copy: Path) -> None:
    folder = copy / "mpi_inf_3dhp"

    def spoil(entries: Any) -> None:
        entries["data"].pop("S2 Seq1")
        entries["data"].pop("S3 Seq1")
        entries["data"].pop("S3 Seq2")
        entries["data"]["S1 Seq1"][0]["4"]["data_3d"] = np.full((8, 17, 3), np.nan)

    change(folder / "data_train_3dhp.npz", spoil)
    (folder / "data_test_3dhp.npz").unlink()
    found = by_file(check_dataset("mpi_inf_3dhp", folder))
    assert [f.found.partition(", found")[0] for f in found["data_train_3dhp.npz"]] == [
        "no subject S3",
        "data, S1 Seq1, camera 4, data_3d: expected finite numbers",
    ]
    assert [f.found for f in found["data_test_3dhp.npz"]] == ["missing"]


def test_custom_and_mocap(tmp_path: Path) -> None:
    good: dict[str, Any] = {
        "keypoints_2d": np.full((4, 17, 2), 9.0),
        "joints_3d": np.ones((4, 17, 3)),
        "fps": 30,
        "frame_size": [640, 480],
    }
    np.savez(tmp_path / "a.npz", **good)
    np.savez(tmp_path / "b.npz", **good | {"fps": -1})
    a, b = check_dataset("custom", tmp_path)
    assert (a.state, a.found) == ("ok", "4 frames of a, h36m17")
    wanted = "fps: expected a number above 0, 20,000 at most, found int64 ()."
    assert (b.state, b.found) == ("broken", wanted)
    mocap = tmp_path / "mocap"
    for subject in ("01", "02"):
        (mocap / subject).mkdir(parents=True)
        (mocap / subject / "a.bvh").write_text(bvh_text(frames=3))
    (mocap / "02" / "a.bvh").write_text("nothing")
    broken, whole = check_dataset("mocap", mocap)
    assert (broken.file, broken.state) == ("02/a.bvh", "broken")
    assert whole.found == "2 subjects, 2 clips; one file of each subject was read"


def test_motion_capture_in_npz(tmp_path: Path) -> None:
    """As docs/datasets.md has it, alone and next to BVH."""
    mocap = tmp_path / "mocap"
    mocap.mkdir()
    joints = np.random.default_rng(0).normal(0, 0.4, (40, 17, 3))
    clips = {
        "joints": joints,
        "joint_names": H36M17.joint_names,
        "fps": 50.0,
        "starts": [0, 15, 40],
    }
    np.savez(mocap / "s01.npz", **clips)  # type: ignore[arg-type]
    assert find_datasets(tmp_path) == [("mocap", mocap)]
    (whole,) = check_dataset("mocap", mocap)
    assert (whole.state, whole.found) == (
        "ok",
        "1 subject, 2 clips; one file of each subject was read",
    )
    (mocap / "01").mkdir()
    (mocap / "01" / "a.bvh").write_text(bvh_text(frames=3))
    np.savez(mocap / "s02.npz", joints=joints)
    broken, whole = check_dataset("mocap", mocap)
    assert (broken.file, broken.state, broken.found) == (
        *("s02.npz", "broken"),
        "has no joint_names, which motion capture in an .npz needs.",
    )
    assert whole.found.startswith("2 subjects, 3 clips")
    (nothing,) = check_dataset("mocap", tmp_path)
    assert (nothing.state, nothing.found) == (
        "broken",
        "no <subject>/<clip>.bvh and no <subject>.npz",
    )
