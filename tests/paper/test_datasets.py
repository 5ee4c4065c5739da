from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.paper.test_runs import workspace
from vidpose.datasets import mpi_inf_3dhp
from vidpose.datasets.synthetic import write_synthetic
from vidpose.errors import DataError
from vidpose.paper.datasets import find_data
from vidpose.skeleton import H36M17


@pytest.mark.parametrize(("keypoints", "kind"), [("cpn_ft_h36m_dbb", "noisy"), ("gt", "true")])
def test_synthetic_joints_do_not_carry_a_detectors_name(
    tmp_path: Path, keypoints: str, kind: str
) -> None:
    write_synthetic(tmp_path / "synthetic", actions=("Walking",), seconds=0.2)
    data = find_data("h36m", workspace(tmp_path), keypoints=keypoints)
    assert f"layout, {kind} 2D joints; errors on it say nothing" in data.description
    assert (data.keypoints, data.short_name) == (kind, "synthetic people, not Human3.6M")
    assert replace(data, is_public=True).keypoints == keypoints


def test_the_training_files_are_needed_only_for_training(tmp_path: Path) -> None:
    write_synthetic(tmp_path, "mpi_inf_3dhp", seconds=0.2)
    mpi_inf_3dhp.path_train(tmp_path).unlink()
    data = find_data("mpi_inf_3dhp", workspace(tmp_path), training=False)
    assert {sequence.subject for sequence in data.dataset.test} == set(mpi_inf_3dhp.TEST)
    with pytest.raises(DataError, match="data_train_3dhp"):
        find_data("mpi_inf_3dhp", workspace(tmp_path))


def test_motion_capture_in_npz_is_used(tmp_path: Path) -> None:
    (tmp_path / "mocap").mkdir()
    joints = np.random.default_rng(0).normal(size=(40, 17, 3))
    for subject in ("s01", "s02"):
        path = tmp_path / "mocap" / f"{subject}.npz"
        np.savez(path, joints=joints, joint_names=np.array(H36M17.joint_names), fps=50.0)
    data = find_data("h36m", workspace(tmp_path), test_subjects=("s02",))
    assert data.description.startswith("motion capture with virtual cameras")
    assert {clip.subject for clip in data.clips} == {"s01", "s02"}
