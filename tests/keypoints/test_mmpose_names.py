import importlib.util
import runpy
from pathlib import Path

import pytest

from vidpose.keypoints.mmpose import H36M_NAMES
from vidpose.skeleton import COCO17, HALPE26


@pytest.mark.parametrize(
    ("dataset", "names"),
    [("h36m", H36M_NAMES), ("coco", COCO17.joint_names), ("halpe26", HALPE26.joint_names)],
)
def test_joints_are_called_as_in_mmposes_own_configs(dataset: str, names: tuple[str, ...]) -> None:
    spec = importlib.util.find_spec("mmpose")  # MMPose itself is not imported
    assert spec is not None, "make test installs MMPose"
    assert spec.origin is not None
    config = Path(spec.origin).parent / ".mim" / "configs" / "_base_" / "datasets" / f"{dataset}.py"
    joints = runpy.run_path(str(config))["dataset_info"]["keypoint_info"]
    assert tuple(joints[i]["name"] for i in range(len(joints))) == names
