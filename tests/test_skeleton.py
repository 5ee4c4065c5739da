import numpy as np
import pytest

from vidpose.skeleton import (
    BLAZEPOSE33,
    COCO17,
    CONVERSIONS,
    H36M17,
    HUMANEVA15,
    MPI_INF_3DHP,
    SKELETONS,
    Conversion,
    Skeleton,
    conversion,
)

ALL = list(SKELETONS.values())
NAMES = [skeleton.name for skeleton in ALL]


@pytest.mark.parametrize("skeleton", ALL, ids=NAMES)
def test_is_one_tree(skeleton: Skeleton) -> None:
    assert skeleton.parents.count(-1) == 1
    for joint in range(len(skeleton)):
        steps = 0
        while skeleton.parents[joint] >= 0:
            joint = skeleton.parents[joint]
            steps += 1
            assert steps < len(skeleton)


@pytest.mark.parametrize("skeleton", ALL, ids=NAMES)
def test_mirror_pairs_left_with_right(skeleton: Skeleton) -> None:
    assert (skeleton.mirrored[skeleton.mirrored] == np.arange(len(skeleton))).all()
    for left, right in zip(skeleton.left, skeleton.right, strict=True):
        a, b = skeleton.joint_names[left], skeleton.joint_names[right]
        swapped = a.replace("left", "right") if "left" in a else a.replace("L", "R", 1)
        assert b == swapped
    sided = {n for n in skeleton.joint_names if "left" in n or "right" in n or n[0] in "LR"}
    assert len(sided) == 2 * len(skeleton.left)


def test_h36m17_is_the_order_of_the_result_file() -> None:
    assert H36M17.joint_names == (
        *("Hip", "RHip", "RKnee", "RFoot", "LHip", "LKnee", "LFoot", "Spine", "Thorax"),
        *("Neck/Nose", "Head", "LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist"),
    )
    assert H36M17.parents == (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)


@pytest.mark.parametrize("convert", CONVERSIONS.values(), ids=str)
@pytest.mark.parametrize("missing", ["nothing", "one ear", "face but the nose", "left side"])
def test_conversion_and_flip_commute(convert: Conversion, missing: str) -> None:
    rng = np.random.default_rng(0)
    joints = rng.normal(size=(5, len(convert.source), 2))
    scores = rng.random((5, len(convert.source)))
    names = convert.source.joint_names
    lost: list[str] = {
        "nothing": [],
        "one ear": ["right_ear"],
        "face but the nose": [n for n in names if "eye" in n or "ear" in n],
        "left side": [n for n in names if "left" in n or n[0] == "L"],
    }[missing]
    lost = [name for name in lost if name in names]
    joints[:, [names.index(name) for name in lost]] = np.nan

    flip = np.array([-1.0, 1.0])
    first = convert((joints * flip)[:, convert.source.mirrored], scores[:, convert.source.mirrored])
    then = convert(joints, scores)
    np.testing.assert_allclose(first[0], (then[0] * flip)[:, convert.target.mirrored], atol=1e-12)
    np.testing.assert_array_equal(first[1], then[1][:, convert.target.mirrored])


@pytest.mark.parametrize("source", [COCO17, BLAZEPOSE33], ids=lambda s: s.name)
def test_derived_joints_by_hand(source: Skeleton) -> None:
    joints = np.zeros((len(source), 2), np.float32)
    for name, place in {
        "left_hip": (1, 10),
        "right_hip": (-1, 10),
        "left_shoulder": (2, 0),
        "right_shoulder": (-2, 0),
        "left_ear": (1, -5),
        "right_ear": (-1, -5),
        "nose": (0, -4),
        "left_ankle": (1, 20),
    }.items():
        joints[source.index(name)] = place
    out, _ = conversion(source.name, "h36m17")(joints)
    by_name = dict(zip(H36M17.joint_names, out.tolist(), strict=True))
    assert by_name["Hip"] == [0, 10]
    assert by_name["Thorax"] == [0, 0]
    assert by_name["Spine"] == [0, 5]
    assert by_name["Neck/Nose"] == [0, -4]
    assert by_name["Head"] == pytest.approx([0, -8])  # 0.6 of 5 beyond the ears
    assert by_name["LFoot"] == [1, 20]
    assert by_name["LShoulder"] == [2, 0]


@pytest.mark.parametrize("target", [HUMANEVA15, MPI_INF_3DHP], ids=lambda s: s.name)
def test_other_datasets_joints_are_h36m17s_under_their_names(target: Skeleton) -> None:
    joints = np.random.default_rng(0).normal(size=(17, 2))
    out, _ = conversion("h36m17", target.name)(joints)
    for theirs, ours in (
        *(("pelvis", "Hip"), ("left_ankle", "LFoot"), ("right_elbow", "RElbow")),
        ("head" if target is HUMANEVA15 else "head_top", "Head"),
        ("thorax" if target is HUMANEVA15 else "neck", "Thorax"),
    ):
        np.testing.assert_array_equal(out[target.index(theirs)], joints[H36M17.index(ours)])
    assert np.isfinite(out).all()


def test_scores_are_the_minimum_of_the_source_joints() -> None:
    scores = np.full(17, 0.9)
    scores[COCO17.index("left_hip")] = 0.2
    _, out = conversion("coco17", "h36m17")(np.zeros((17, 2)), scores)
    assert out[H36M17.index("Hip")] == 0.2
    assert out[H36M17.index("Spine")] == 0.2
    assert out[H36M17.index("RHip")] == 0.9


def test_missing_joints_stay_missing_and_the_head_falls_back() -> None:
    rng = np.random.default_rng(1)
    joints = rng.normal(size=(17, 2))
    joints[COCO17.index("left_hip")] = np.nan
    joints[COCO17.index("left_ear")] = np.nan
    out, scores = conversion("coco17", "h36m17")(joints)
    for name in ("Hip", "LHip", "Spine"):
        assert np.isnan(out[H36M17.index(name)]).all()
        assert scores[H36M17.index(name)] == 0
    thorax = joints[[COCO17.index("left_shoulder"), COCO17.index("right_shoulder")]].mean(0)
    eyes = joints[[COCO17.index("left_eye"), COCO17.index("right_eye")]].mean(0)
    np.testing.assert_allclose(out[H36M17.index("Head")], eyes + 0.6 * (eyes - thorax))


def test_conversion_refuses_another_number_of_joints_and_unknown_names() -> None:
    with pytest.raises(ValueError, match="expected 17 coco17 joints, got 16"):
        conversion("coco17", "h36m17")(np.zeros((16, 2)))
    with pytest.raises(ValueError, match="no conversion from h36m17 to coco17"):
        conversion("h36m17", "coco17")
