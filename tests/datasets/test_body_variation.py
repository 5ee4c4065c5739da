import math

import pytest
import torch
from torch import Tensor

from vidpose.datasets.body_variation import (
    PEOPLE,
    SEGMENTS,
    draw_bodies,
    tumble,
    turn_girdles,
)
from vidpose.datasets.random_tensors import RandomTensors
from vidpose.skeleton import H36M17

REST = {
    **{"RHip": (-0.1, 0.0, 0.0), "RKnee": (-0.1, 0.05, -0.4), "RFoot": (-0.1, 0.0, -0.8)},
    **{"LHip": (0.1, 0.0, 0.0), "LKnee": (0.1, 0.05, -0.4), "LFoot": (0.1, 0.0, -0.8)},
    **{"Spine": (0.0, 0.0, 0.25), "Thorax": (0.0, 0.0, 0.5), "Neck/Nose": (0.0, 0.1, 0.65)},
    **{"Head": (0.0, 0.0, 0.75), "LShoulder": (0.15, 0.0, 0.5), "LElbow": (0.2, 0.0, 0.2)},
    **{"LWrist": (0.2, 0.1, 0.0), "RShoulder": (-0.15, 0.0, 0.5), "RElbow": (-0.2, 0.0, 0.2)},
    **{"RWrist": (-0.2, 0.1, 0.0)},
}


def people(count: int, frames: int = 3) -> Tensor:
    pose = torch.tensor([(0.0, 0.0, 0.0), *(REST[name] for name in H36M17.joint_names[1:])])
    return pose.expand(count, frames, 17, 3).clone() + 0.5


def random(seed: int = 0) -> RandomTensors:
    return RandomTensors(torch.Generator().manual_seed(seed), torch.device("cpu"))


def bones(joints: Tensor) -> Tensor:
    """(B, F, 16, 3)."""
    return torch.stack([joints[..., c, :] - joints[..., p, :] for p, c in H36M17.bones], dim=-2)


def lengths_of(joints: Tensor, segment: str) -> Tensor:
    """(B, names), of the first frame."""
    children = [c for _, c in H36M17.bones]
    places = [children.index(H36M17.index(name)) for name in SEGMENTS[segment][1]]
    return bones(joints)[:, 0].norm(dim=-1)[:, places]


def test_bodies_are_drawn_between_two_means_and_bones_keep_their_directions() -> None:
    before = people(6000, 1)
    after = draw_bodies(before, 1.0, random())
    cosine = torch.nn.functional.cosine_similarity(bones(before), bones(after), dim=-1)
    assert cosine.min() > 0.9999
    torch.testing.assert_close(after[..., 0, :], before[..., 0, :])  # the hip stays
    for segment, (mean, _) in PEOPLE.items():
        drawn = lengths_of(after, segment).log().mean().exp().item() / 1.72
        assert drawn == pytest.approx(math.sqrt(mean * SEGMENTS[segment][0]), rel=0.01), segment


def test_lengths_are_correlated_and_sides_differ_a_little() -> None:
    after = draw_bodies(people(6000, 1), 1.0, random())
    thigh, trunk = (lengths_of(after, name).log() for name in ("thigh", "half trunk"))
    # Higher hips: were the two drawn each for itself, it would be 0.076.
    assert (thigh.mean(1) - trunk.mean(1)).std().item() == pytest.approx(0.089, abs=0.005)
    assert (thigh[:, 0] - thigh[:, 1]).std().item() == pytest.approx(0.02 * 2**0.5, rel=0.1)


def test_girdles_are_tilted_equally_in_all_frames_and_limbs_are_unchanged() -> None:
    before = people(500)
    after = turn_girdles(before, 0.07, random())
    old, new = bones(before), bones(after)
    torch.testing.assert_close(old.norm(dim=-1), new.norm(dim=-1))
    torch.testing.assert_close(new[:, 0], new[:, 2])
    turned = torch.nn.functional.cosine_similarity(old, new, dim=-1)[:, 0].clamp(-1, 1).acos()
    by_child = {
        H36M17.joint_names[c]: turned[:, i].square().mean().sqrt().item()
        for i, (_, c) in enumerate(H36M17.bones)
    }
    for name in ("RHip", "LHip", "Spine", "Thorax", "LShoulder", "RShoulder", "Neck/Nose"):
        assert 0.05 < by_child[name] < 0.13, name
    for name in ("RKnee", "RFoot", "LElbow", "LWrist"):
        assert by_child[name] < 1e-3, name
    # Both hips are one line, and so are both shoulders.
    right, left = (new[:, 0, i] for i in (0, 3))
    torch.testing.assert_close(right, -left)


def test_some_people_have_a_random_orientation() -> None:
    before = people(4000)
    after = tumble(before - 0.5, 0.25, random())
    up = after[:, 0, H36M17.index("Thorax"), 2]
    assert (up < 0.499).float().mean().item() == pytest.approx(0.25, abs=0.03)
    upside_down = (up < -0.25).float().mean().item()  # a quarter of all directions
    assert upside_down == pytest.approx(0.25 / 4, abs=0.02)
    torch.testing.assert_close(bones(after).norm(dim=-1), bones(before).norm(dim=-1))
