import pytest

from vidpose.datasets.h36m import ACTIONS
from vidpose.evaluation.published import (
    CPN,
    POSEFORMER,
    PUBLISHED,
    READ,
    UNVERIFIED,
    PublishedNumber,
    published,
)


def find(method: str, frames: int, metric: str, keypoints: str = CPN) -> PublishedNumber:
    found = [
        f
        for f in published("h36m", keypoints)
        if (f.method, f.frames, f.metric) == (method, frames, metric)
    ]
    assert len(found) == 1
    return found[0]


def test_the_papers_headline_numbers() -> None:
    assert (find(POSEFORMER, 81, "mpjpe_mm").value, find(POSEFORMER, 81, "mpjpe_mm").mark) == (
        44.3,
        READ,
    )
    assert find(POSEFORMER, 81, "p_mpjpe_mm").mark == UNVERIFIED
    assert find(POSEFORMER, 9, "mpjpe_mm").mark == UNVERIFIED
    assert find(POSEFORMER, 81, "mpjpe_mm", "gt").value == 31.3
    assert {f.keypoints for f in published("h36m", "gt")} == {"gt"}
    assert published("synthetic", "gt") == ()


@pytest.mark.parametrize("figure", PUBLISHED, ids=lambda f: f"{f.method} {f.frames} {f.metric}")
def test_marks_and_rows(figure: PublishedNumber) -> None:
    """Numbers marked as read have a source; numbers by action average to the printed mean."""
    assert figure.mark == (READ if figure.source else UNVERIFIED)
    if figure.groups:
        mean = sum(figure.groups.values()) / len(figure.groups)
        assert mean == pytest.approx(figure.value, abs=0.11)
    if figure.dataset == "h36m" and figure.groups:
        assert tuple(figure.groups) == ACTIONS
