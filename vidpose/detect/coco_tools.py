"""The parts of xtcocotools that MMPose uses, on top of pycocotools.

xtcocotools has no wheels from Python 3.12 on. It is pycocotools with more kinds of keypoints and
some fixes; the fixes that matter for people with one set of keypoints are repeated here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask
from pycocotools.coco import COCO as _COCO
from pycocotools.cocoeval import COCOeval as _COCOeval

from vidpose.errors import MissingDependencyError

__all__ = ["COCO", "COCOeval", "mask"]

BOX_TO_AREA = 0.53
"""Share of a box's area that a person covers, where the annotation has no area."""


class COCO(_COCO):  # type: ignore[misc]
    """pycocotools' COCO, for annotations without `iscrowd` and `num_keypoints`."""

    def createIndex(self) -> None:  # noqa: N802 (pycocotools' name)
        for annotation in self.dataset.get("annotations", ()):
            annotation.setdefault("iscrowd", 0)
            if "keypoints" in annotation:
                annotation.setdefault("num_keypoints", _visible(annotation))
        super().createIndex()


class COCOeval(_COCOeval):  # type: ignore[misc]
    """Average precision of keypoints by object keypoint similarity.

    Args:
        cocoGt: the ground truth.
        cocoDt: the detections.
        iouType: only `keypoints`.
        sigmas: (K,) falloff of each keypoint; by default those of COCO's 17.
        use_area: take the size of people from `area`, else from their box.

    Raises:
        MissingDependencyError: another `iouType`, which needs xtcocotools.
    """

    def __init__(
        self,
        cocoGt: Any = None,  # noqa: N803 (xtcocotools' names)
        cocoDt: Any = None,  # noqa: N803
        iouType: str = "keypoints",  # noqa: N803
        sigmas: Any = None,
        use_area: bool = True,
    ) -> None:
        if iouType != "keypoints":
            raise MissingDependencyError(
                f"Evaluating '{iouType}' needs xtcocotools, which has wheels up to Python 3.11: "
                "pip install xtcocotools"
            )
        super().__init__(cocoGt, cocoDt, iouType)
        if sigmas is not None:
            self.params.kpt_oks_sigmas = np.asarray(sigmas)
        self.use_area = use_area

    def _prepare(self) -> None:
        super()._prepare()
        for people in self._gts.values():
            people[:] = [self._person(person) for person in people]
        for key, people in self._dts.items():
            self._dts[key] = [person for person in people if _visible(person)]

    def _person(self, person: dict[str, Any]) -> dict[str, Any]:
        changed: dict[str, Any] = {
            "id": person["id"] + 1,  # 0 would count as not found
            "ignore": bool(person["iscrowd"]) or not _visible(person),
        }
        if not self.use_area or "area" not in person:
            changed["area"] = person["bbox"][2] * person["bbox"][3] * BOX_TO_AREA
        return person | changed


def _visible(person: dict[str, Any]) -> int:
    return sum(score > 0 for score in person["keypoints"][2::3])
