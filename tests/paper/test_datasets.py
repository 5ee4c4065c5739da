from dataclasses import replace
from pathlib import Path

import pytest

from vidpose.datasets.synthetic import write_synthetic
from vidpose.paper.datasets import find_material


@pytest.mark.parametrize(("keypoints", "kind"), [("cpn_ft_h36m_dbb", "noisy"), ("gt", "true")])
def test_made_up_joints_go_by_no_detectors_name(tmp_path: Path, keypoints: str, kind: str) -> None:
    write_synthetic(tmp_path / "synthetic", actions=("Walking",), seconds=0.2)
    material = find_material("h36m", tmp_path, keypoints=keypoints)
    assert f"layout, {kind} 2D joints; made-up people" in material.told
    assert (material.keypoints, material.short) == (kind, "made-up people, not Human3.6M")
    assert replace(material, is_public=True).keypoints == keypoints
