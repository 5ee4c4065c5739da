from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.charts import pixels
from tests.dataset_files import h36m_like, make_checkpoint, make_dataset, make_sequence
from vidpose.errors import UsageError, VidposeError
from vidpose.evaluation import plots
from vidpose.evaluation.evaluate import Evaluation, evaluate
from vidpose.render.charts import broken
from vidpose.render.plots import COLOURS


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(make_checkpoint(), h36m_like(), flip=False, label="tiny")[0]


def test_every_plot_of_one_checkpoint(evaluation: Evaluation, tmp_path: Path) -> None:
    drawn = plots.draw_all(tmp_path / "plots", [evaluation])
    names = ["joints", "joints_by_action", "worst_sequences", "cumulative"]
    assert [path.stem for path in drawn] == names
    assert sorted(p.name for p in (tmp_path / "plots").iterdir()) == sorted(
        f"{name}.png" for name in names
    )
    for path in drawn:
        picture: Any = cv2.imread(str(path))
        assert min(picture.shape[:2]) > 400
    assert pixels(drawn[0], COLOURS[0]) > 10_000
    assert pixels(drawn[0], COLOURS[1]) == 0


def test_bars_are_as_high_as_the_errors(evaluation: Evaluation, tmp_path: Path) -> None:
    """A checkpoint with twice the error gets about twice as many coloured pixels."""
    double = replace(
        evaluation,
        label="double",
        sequences=tuple(
            replace(
                s,
                mpjpe_mm=2 * s.mpjpe_mm,
                means=s.means | {"mpjpe_mm": 2 * s.means["mpjpe_mm"]},
            )
            for s in evaluation.sequences
        ),
    )
    path = plots.joint_errors([evaluation, double], tmp_path / "a.png")
    first, second = (pixels(path, colour) for colour in COLOURS[:2])
    assert second / first == pytest.approx(2, rel=0.15)
    one = plots.joint_errors([evaluation, double], tmp_path / "b.png", "Sitting")
    assert one.read_bytes() != path.read_bytes()


def test_several_checkpoints_share_plots(evaluation: Evaluation, tmp_path: Path) -> None:
    several = [replace(evaluation, label=f"w{i}") for i in range(3)]
    drawn = {path.stem: path for path in plots.draw_all(tmp_path, several)}
    assert {f"joints_by_action_{i}" for i in (1, 2, 3)} < set(drawn)
    for colour in COLOURS[:3]:
        assert pixels(drawn["joints"], colour) > 5_000
    with pytest.raises(UsageError, match="8 weights are too many for one plot; compare at most 7"):
        plots.draw_all(tmp_path, [evaluation] * 8)


def test_maps_of_an_earlier_run_are_removed(evaluation: Evaluation, tmp_path: Path) -> None:
    plots.draw_all(tmp_path, [replace(evaluation, label=label) for label in "abc"])
    (tmp_path / "joints_by_action_7.png").write_text("mine")
    plots.draw_all(tmp_path, [evaluation])
    assert {path.name for path in tmp_path.glob("joints_by*")} == {
        "joints_by_action.png",
        "joints_by_action_7.png",  # not a plot
    }
    plots.draw_all(tmp_path, [replace(evaluation, label=label) for label in "ab"])
    assert not (tmp_path / "joints_by_action.png").exists()
    assert (tmp_path / "joints_by_action_2.png").exists()


def test_sequences_of_one_name_have_their_own_curves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Clips of motion capture may have the same name."""
    dataset = make_dataset(make_sequence(seed=0), make_sequence(seed=1), name="mocap")
    (found,) = evaluate(make_checkpoint(), dataset, flip=False)
    drawn: list[float] = []
    monkeypatch.setattr(
        plots, "over_time", lambda axes, seconds, error, **style: drawn.append(error.mean())
    )
    plots.worst_sequences([found], tmp_path / "a.png")
    means = [sequence.means["mpjpe_mm"].mean() for sequence in found.worst(2)]
    assert means[0] > means[1] + 1
    assert drawn == pytest.approx(means)


def test_plots_of_synthetic_data_say_so(evaluation: Evaluation, tmp_path: Path) -> None:
    real = plots.draw_all(tmp_path / "real", [evaluation])
    synthetic = plots.draw_all(tmp_path / "other", [replace(evaluation, synthetic=True)])
    for one, other in zip(real, synthetic, strict=True):
        assert one.read_bytes() != other.read_bytes()


def test_unusual_sequences_are_drawn(tmp_path: Path) -> None:
    """A single frame; invalid frames in between; too many actions for numbers in the heat map."""
    valid = np.ones(12, bool)
    valid[4:8] = False
    dataset = make_dataset(
        make_sequence(frames=1),
        make_sequence("S1", valid=valid),
        *(make_sequence("S2", f"a{i}", frames=2) for i in range(31)),
        name="mocap",
    )
    (found,) = evaluate(make_checkpoint(), dataset, flip=False)
    assert len(plots.draw_all(tmp_path, [found])) == 4


def test_lines_are_broken_at_missing_frames() -> None:
    seconds, error = broken(np.array([0, 0.1, 0.5, 0.6]), np.arange(4, dtype=np.float32))
    np.testing.assert_array_equal(np.isnan(error), [False, False, True, False, False])
    assert np.isnan(seconds[2])


def test_a_folder_that_cannot_be_written(evaluation: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VidposeError, match="not a folder"):
        plots.draw_all(tmp_path / "file", [evaluation])
