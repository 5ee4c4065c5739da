"""Average precision by the stand-in for xtcocotools, in cases computed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidpose.detect.coco_tools import BOX_TO_AREA, COCO, COCOeval
from vidpose.errors import MissingDependencyError

SIGMAS = np.array([0.05, 0.1])
AREA = 10_000.0
BOX = [0.0, 0, 200, 100]


def person(identity: int, image: int, keypoints: list[float], **more: Any) -> dict[str, Any]:
    return {
        **{"id": identity, "image_id": image, "category_id": 1, "keypoints": keypoints},
        **{"bbox": BOX, "area": AREA},
        **more,
    }


def evaluate(
    people: list[dict[str, Any]], found: list[dict[str, Any]], folder: Path, **options: Any
) -> COCOeval:
    images = [{"id": n} for n in sorted({p["image_id"] for p in people})]
    truth = {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "found.json").write_text(json.dumps(found))
    coco = COCO(str(folder / "truth.json"))
    evaluation = COCOeval(
        coco, coco.loadRes(str(folder / "found.json")), "keypoints", SIGMAS, **options
    )
    evaluation.params.useSegm = None  # as MMPose does
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def detection(image: int, keypoints: list[float], score: float = 0.9) -> dict[str, Any]:
    return {"image_id": image, "category_id": 1, "keypoints": keypoints, "score": score}


@pytest.mark.parametrize("use_area", [True, False])
def test_similarity_is_by_the_given_sigmas_and_size(use_area: bool, tmp_path: Path) -> None:
    truth = [50.0, 50, 2, 100, 50, 2]
    moved = [56.0, 50, 1, 100, 42, 1]
    evaluation = evaluate([person(1, 1, truth)], [detection(1, moved)], tmp_path, use_area=use_area)
    size = AREA if use_area else BOX_TO_AREA * BOX[2] * BOX[3]
    expected = np.exp(-(np.array([6, 8]) ** 2) / (2 * size * (2 * SIGMAS) ** 2)).mean()
    np.testing.assert_allclose(evaluation.ious[1, 1], [[expected]])


def test_a_person_without_an_area_has_its_box(tmp_path: Path) -> None:
    truth = person(1, 1, [50.0, 50, 2, 100, 50, 2])
    del truth["area"]
    evaluation = evaluate(
        [truth], [detection(1, [50.0, 50, 1, 100, 50, 1])], tmp_path, use_area=False
    )
    assert evaluation.stats[0] == pytest.approx(1)


def test_precision_of_one_found_and_one_missed(tmp_path: Path) -> None:
    """An ID of 0 is valid."""
    keypoints = [50.0, 50, 2, 100, 50, 2]
    people = [person(0, 1, keypoints), person(1, 2, keypoints)]
    far = [150.0, 150, 1, 180, 150, 1]
    found = [detection(1, keypoints), detection(2, far, 0.5)]
    evaluation = evaluate(people, found, tmp_path)
    # Precise up to a recall of one half: 51 of 101 recalls.
    assert evaluation.stats[0] == pytest.approx(51 / 101)
    assert evaluation.stats[5] == pytest.approx(0.5)


def test_people_without_visible_joints_do_not_count(tmp_path: Path) -> None:
    keypoints = [50.0, 50, 2, 100, 50, 2]
    hidden = [50.0, 50, 0, 100, 50, 0]
    people = [person(1, 1, keypoints), person(2, 2, hidden, num_keypoints=2)]
    evaluation = evaluate(people, [detection(1, keypoints)], tmp_path)
    assert evaluation.stats[5] == pytest.approx(1)


def test_poses_without_a_score_above_0_do_not_count(tmp_path: Path) -> None:
    keypoints = [50.0, 50, 2, 100, 50, 2]
    nothing = [150.0, 150, 0, 180, 150, 0]
    found = [detection(1, keypoints, 0.5), detection(1, nothing)]
    assert evaluate([person(1, 1, keypoints)], found, tmp_path).stats[0] == pytest.approx(1)


def test_other_kinds_of_keypoints_are_refused() -> None:
    with pytest.raises(MissingDependencyError, match="'keypoints_crowd' needs xtcocotools"):
        COCOeval(iouType="keypoints_crowd")
