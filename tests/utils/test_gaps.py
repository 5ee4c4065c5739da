import numpy as np
import pytest

from vidpose.utils.gaps import fill_missing, runs, runs_between


def test_fill_missing() -> None:
    joints = np.zeros((5, 2, 2))
    joints[:, 0] = np.arange(5)[:, None]
    joints[1:3, 0] = np.nan
    joints[4, 0] = np.nan
    joints[:, 1] = np.nan
    filled = fill_missing(joints, np.array([0.0, 1, 2, 3, 4]))
    np.testing.assert_allclose(filled[:, 0, 0], [0, 1, 2, 3, 3])
    assert np.isnan(filled[:, 1]).all()
    with pytest.raises(ValueError, match="no joint"):
        fill_missing(np.full((3, 17, 2), np.nan), np.arange(3.0))


def test_runs() -> None:
    flags = np.array([1, 1, 0, 1, 0, 0, 1], bool)
    assert runs(flags) == [slice(0, 2), slice(3, 4), slice(6, 7)]
    assert runs(np.zeros(3, bool)) == []


def test_runs_are_cut_at_breaks() -> None:
    flags = np.array([1, 1, 1, 0, 1, 1, 1, 1], bool)
    breaks = np.array([0, 1, 1, 1, 0, 1, 0], bool)  # behind each frame but the last
    found = [(run.start, run.stop) for run in runs_between(flags, breaks)]
    assert found == [(0, 2), (2, 3), (4, 6), (6, 8)]
    assert runs_between(flags[:0], breaks[:0]) == []
