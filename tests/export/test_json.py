import json
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO

from tests.export.people import passers_by
from vidpose.export import export
from vidpose.keypoints import read_keypoints


def test_read_by_another_program(tmp_path: Path) -> None:
    result = passers_by()
    result.keypoints_2d[0, 3, 16] = np.nan
    coco = COCO(str(export(result, tmp_path / "walk.json", "json")))
    assert sorted(coco.imgs) == result.frame_indices.tolist()
    assert [coco.imgs[frame]["timestamp"] for frame in sorted(coco.imgs)] == list(result.timestamps)
    assert len(coco.anns) == result.present.sum()
    world, camera = result.joints_world(), result.joints_camera()
    for row, person in enumerate(result.person_ids.tolist()):
        for t, frame in enumerate(result.frame_indices.tolist()):
            found = [
                annotation
                for annotation in coco.loadAnns(coco.getAnnIds(imgIds=[frame]))
                if annotation["track_id"] == person
            ]
            assert len(found) == result.present[row, t]
            for annotation in found:
                np.testing.assert_allclose(
                    annotation["keypoints_3d"], camera[row, t], atol=1e-6, rtol=0
                )
                np.testing.assert_allclose(
                    annotation["keypoints_world"], world[row, t], atol=1e-6, rtol=0
                )
                xyv = np.reshape(annotation["keypoints"], (17, 3))
                seen = np.isfinite(result.keypoints_2d[row, t]).all(axis=1)
                np.testing.assert_allclose(
                    xyv[seen, :2], result.keypoints_2d[row, t, seen], atol=1e-3
                )
                assert (xyv[seen, 2] == (2 if result.observed[row, t] else 1)).all()
                assert (xyv[~seen] == 0).all()
                assert annotation["num_keypoints"] == seen.sum()


def test_unknown_joints_are_null(tmp_path: Path) -> None:
    result = passers_by(world=False)
    result.root_3d[0, 4] = np.nan
    content = json.loads(export(result, tmp_path / "walk.json", "json").read_text())
    (annotation,) = (
        a for a in content["annotations"] if a["image_id"] == 104 and a["track_id"] == 1
    )
    assert annotation["keypoints_3d"] == [None] * 17
    assert "keypoints_world" not in annotation


def test_read_again_as_2d_joints(tmp_path: Path) -> None:
    result = passers_by()
    path = export(result, tmp_path / "walk.json", "json")
    poses, about = read_keypoints(path, fps=29.97)
    assert about == {"format": "coco", "skeleton": "h36m17"}
    assert poses.frame_size == result.frame_size
    np.testing.assert_array_equal(poses.frame_indices, result.frame_indices)
    np.testing.assert_allclose(poses.keypoints_2d[0], result.keypoints_2d[0], atol=1e-3)
