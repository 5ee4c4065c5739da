from dataclasses import replace
from pathlib import Path

import pytest

from tests.paper.test_runs import workspace
from vidpose.datasets.synthetic import write_synthetic
from vidpose.paper.datasets import find_data


@pytest.mark.parametrize(("keypoints", "kind"), [("cpn_ft_h36m_dbb", "noisy"), ("gt", "true")])
def test_synthetic_joints_go_by_no_detectors_name(
    tmp_path: Path, keypoints: str, kind: str
) -> None:
    write_synthetic(tmp_path / "synthetic", actions=("Walking",), seconds=0.2)
    data = find_data("h36m", workspace(tmp_path), keypoints=keypoints)
    assert f"layout, {kind} 2D joints; synthetic people" in data.description
    assert (data.keypoints, data.short_name) == (kind, "synthetic people, not Human3.6M")
    assert replace(data, is_public=True).keypoints == keypoints
