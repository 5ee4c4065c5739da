import math
from typing import Any

import numpy as np
import pytest

from vidpose.datasets.dataset import Dataset, PoseSequence, hold_out
from vidpose.errors import DataError
from vidpose.skeleton import H36M17, HUMANEVA15


def make(subject: str = "S1", action: str = "Walking 1", camera: str = "0", **fields: Any) -> Any:
    made = of_length(5) | {"frame_size": (1000, 1000), "fps": 50.0}
    return PoseSequence(subject=subject, action=action, camera=camera, **made | fields)


def of_length(frames: int) -> dict[str, Any]:
    return {
        "keypoints_2d": np.zeros((frames, 17, 2), np.float32),
        "joints_3d": np.zeros((frames, 17, 3), np.float32),
        "valid": np.ones(frames, bool),
    }


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("joints_3d", np.zeros((4, 17, 3), np.float32), r"joints_3d: expected \(5, 17, 3\)"),
        ("keypoints_2d", np.zeros((5, 17, 2)), "keypoints_2d: .* got .* float64"),
        ("joints_3d", np.full((5, 17, 3), math.nan, np.float32), "joints_3d: a value is not"),
        ("valid", np.ones(4, bool), "valid: expected"),
    ],
)
def test_an_invalid_sequence_is_named(field: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"S1/Walking 1/0: {message}"):
        make(**{field: value})


def test_a_dataset_has_one_skeleton() -> None:
    with pytest.raises(ValueError, match="S1/Walking 1/0: 17 joints, but humaneva15 has 15"):
        Dataset(name="x", keypoints="gt", skeleton=HUMANEVA15, train=(make(),), test=())
    Dataset(name="x", keypoints="gt", skeleton=H36M17, train=(make(),), test=())


def test_takes_are_held_out_with_all_their_cameras() -> None:
    sequences = [
        make(subject, f"Walking {take}", camera)
        for subject in ("S1", "S5")
        for take in range(10)
        for camera in "0123"
    ]
    train, aside = hold_out(sequences, 0.1)
    assert len(aside) == 8
    assert len(train) == 72
    assert not {s.take for s in train} & {s.take for s in aside}
    assert hold_out(sequences, 0.1)[1] == aside
    assert hold_out(sequences, 0.1, seed=1)[1] != aside
    assert len(hold_out(sequences, 0.001)[1]) == 4


def test_pieces_of_one_recording_are_not_all_that_is_held_out() -> None:
    """HumanEva's takes are chunks, short and long."""
    sequences = [
        make(subject, f"Box 1 chunk{n}", recording="Box 1", **of_length(10))
        for subject in ("S1", "S2")
        for n in range(20)
    ]
    sequences += [make(subject, "Jog 1 chunk0", **of_length(400)) for subject in ("S1", "S2", "S3")]
    everything = sum(map(len, sequences))
    for seed in range(10):
        _, aside = hold_out(sequences, 0.1, seed)
        assert sum(map(len, aside)) >= 0.1 * everything
        assert len({sequence.origin for sequence in aside}) >= 4


def test_a_take_longer_than_all_others_is_not_held_out() -> None:
    sequences = [make(action=f"Walking {n}", **of_length(100)) for n in range(9)]
    sequences.append(make(action="Everything", **of_length(9000)))
    for seed in range(20):
        train, aside = hold_out(sequences, 0.05, seed)
        assert sum(map(len, aside)) < 0.1 * sum(map(len, sequences))
        assert aside
        assert train
    halves = [make(action=name, **of_length(n)) for name, n in (("A", 100), ("B", 90))]
    assert [sequence.action for sequence in hold_out(halves, 0.05)[1]] == ["B"]


def test_older_versions_drew_takes_whatever_their_length() -> None:
    sequences = [make(action=f"Walking {n}", **of_length(1 + 10 * n)) for n in range(20)]
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(20)
        expected = {sorted(s.take for s in sequences)[n] for n in order[:2]}
        _, aside = hold_out(sequences, 0.1, seed, by_count=True)
        assert {sequence.take for sequence in aside} == expected


def test_a_single_take_cannot_be_split() -> None:
    with pytest.raises(DataError, match="there are 1 takes"):
        hold_out([make(), make(camera="1")], 0.5)
