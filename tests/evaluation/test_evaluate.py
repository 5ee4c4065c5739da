import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.dataset_files import h36m_like, make_checkpoint, make_dataset, make_sequence
from vidpose.datasets.dataset import Dataset, PoseSequence
from vidpose.errors import DataError, UsageError, VidposeError
from vidpose.evaluation.evaluate import Evaluation, evaluate
from vidpose.evaluation.protocols import scored_joints
from vidpose.events import Event
from vidpose.lifting.sliding_window import slide
from vidpose.metrics import auc, mpjpe, mpjve, n_mpjpe, p_mpjpe, pck
from vidpose.models import Checkpoint, LiftingModel
from vidpose.models.normalisation import NORMALISATIONS
from vidpose.skeleton import COCO17, H36M17, HUMANEVA15, MPI_INF_3DHP


def off_by_mm(sequence: PoseSequence, errors_mm: NDArray[np.floating]) -> Any:
    """Root-relative ground truth with errors_mm (T, J) added along x."""
    target = sequence.joints_3d - sequence.joints_3d[:, :1]
    return target + np.stack([errors_mm, 0 * errors_mm, 0 * errors_mm], axis=-1) / 1000


class Fake(LiftingModel):
    """Returns given poses, one sequence after the other; without flip averaging."""

    name = "fake"

    def __init__(self, *poses: Any) -> None:
        super().__init__()
        self.config = make_checkpoint().model.config
        self.anything = torch.nn.Parameter(torch.zeros(1))
        self.poses = [torch.as_tensor(p, dtype=torch.float32) for p in poses]

    def slide(self, keypoints: torch.Tensor) -> torch.Tensor:
        return self.poses.pop(0)


def measure(dataset: Dataset, *errors_mm: Any, **options: Any) -> Evaluation:
    """Evaluate a network with given errors: for each sequence (T, J) or one number, mm."""
    poses = [
        off_by_mm(s, np.broadcast_to(e, s.keypoints_2d.shape[:2]).astype(float))
        for s, e in zip(dataset.test, errors_mm, strict=True)
    ]
    checkpoint = replace(make_checkpoint(skeleton=dataset.skeleton), model=Fake(*poses))
    return evaluate(checkpoint, dataset, flip=False, **options)[0]


def test_every_metric_agrees_with_the_public_function_on_inferred_poses() -> None:
    dataset, checkpoint = h36m_like(), make_checkpoint()
    with_flip, without = evaluate(checkpoint, dataset)
    assert (with_flip.flip, without.flip) == (True, False)
    for evaluation, mirrored in ((with_flip, torch.from_numpy(H36M17.mirrored)), (without, None)):
        sequence, errors = dataset.test[3], evaluation.sequences[3]
        inputs, _ = NORMALISATIONS["screen"](torch.tensor(sequence.keypoints_2d), (1000, 1000), 1)
        predicted = slide(checkpoint.model, inputs, mirrored).poses.numpy()
        target = sequence.joints_3d - sequence.joints_3d[:, :1]
        for key, function in (
            ("mpjpe_mm", mpjpe),
            ("p_mpjpe_mm", p_mpjpe),
            ("n_mpjpe_mm", n_mpjpe),
            ("mpjve_mm", mpjve),
        ):
            expected = 1000 * function(predicted, target)
            assert errors.means[key].mean() == pytest.approx(expected, rel=1e-5), key
        assert errors.means["pck"].mean() == pytest.approx(pck(predicted, target))
        assert errors.means["auc"].mean() == pytest.approx(auc(predicted, target))
        assert errors.mpjpe_mm.shape == errors.p_mpjpe_mm.shape == (len(sequence), 17)


def test_poses_are_rotated_back_to_the_camera() -> None:
    """With `person`, the network predicts in a rotated camera, another one for every frame."""
    sequence = make_sequence()
    _, rotation = NORMALISATIONS["person"](
        torch.tensor(sequence.keypoints_2d), (1000, 1000), 1000.0
    )
    target = torch.tensor(sequence.joints_3d - sequence.joints_3d[:, :1])
    model = Fake(target @ rotation.mT)
    checkpoint = replace(make_checkpoint(), model=model, normalisation="person")
    (evaluation,) = evaluate(checkpoint, make_dataset(sequence), flip=False)
    assert evaluation.value("mpjpe_mm") < 1e-3


def test_actions_are_unweighted_and_takes_weighted_by_frames() -> None:
    dataset = make_dataset(
        make_sequence("S9", "Walking", frames=10),
        make_sequence("S9", "Walking 1", frames=30),
        make_sequence("S11", "WalkDog", frames=60),
    )
    evaluation = measure(dataset, 10, 50, 100)
    assert list(evaluation.groups) == ["WalkDog", "Walking"]  # in the papers' order
    assert evaluation.value("mpjpe_mm", "Walking") == pytest.approx((10 * 10 + 30 * 50) / 40)
    assert evaluation.value("mpjpe_mm") == pytest.approx((40 + 100) / 2)
    assert evaluation.pooled("mpjpe_mm").mean() == pytest.approx((100 + 1500 + 6000) / 100)
    assert evaluation.per_joint("mpjpe_mm").mean() == pytest.approx(70)
    assert evaluation.scored_frames == 100
    assert evaluation.worst(1)[0].action == "WalkDog"


def test_human36m_scores_the_predicted_root_and_the_default_does_not() -> None:
    errors = np.zeros((12, 17))
    errors[:, 0] = 170
    for name, expected in (("h36m", 10), ("synthetic", 10), ("mocap", 0), ("custom", 0)):
        evaluation = measure(make_dataset(make_sequence(), name=name), errors)
        assert evaluation.value("mpjpe_mm") == pytest.approx(expected, abs=1e-3), name


def test_mpi_inf_3dhp() -> None:
    """The root is set to 0 and averaged with the others; PCK excludes pelvis, spine and head."""
    valid = np.array([0, 1, 1, 0, 1, 1, 1, 0, 0, 0], bool)
    dataset = make_dataset(
        make_sequence("TS1", "all", frames=10, valid=valid),
        make_sequence("TS2", "all", frames=15),
        name="mpi_inf_3dhp",
        skeleton=MPI_INF_3DHP,
    )
    root, spine = MPI_INF_3DHP.root, MPI_INF_3DHP.index("spine")
    sequences = [
        replace(s, joints_3d=s.joints_3d - s.joints_3d[:, root : root + 1]) for s in dataset.test
    ]
    first, second = np.full((10, 17), 34.0), np.full((15, 17), 200.0)
    first[~valid] = 1e4
    first[:, root] = 1e3
    second[:, spine] = 0
    poses = [
        s.joints_3d + np.stack([e, 0 * e, 0 * e], axis=-1) / 1000
        for s, e in zip(sequences, (first, second), strict=True)
    ]
    checkpoint = replace(make_checkpoint(skeleton=MPI_INF_3DHP), model=Fake(*poses))
    (evaluation,) = evaluate(checkpoint, dataset, flip=False)
    assert evaluation.value("mpjpe_mm", "TS1") == pytest.approx(34 * 16 / 17, rel=1e-4)
    assert evaluation.value("mpjpe_mm", "TS2") == pytest.approx(200 * 15 / 17, rel=1e-4)
    assert evaluation.scored_frames == 20
    assert evaluation.value("pck", "TS1") == 100
    assert evaluation.value("pck", "TS2") == 0  # the spine, without error, does not count
    assert evaluation.value("pck") == pytest.approx(25)  # pooled: 5 frames of 20
    assert evaluation.pck_joints.sum() == 14
    np.testing.assert_allclose(evaluation.cumulative(np.array([150.0])), evaluation.value("pck"))
    # 1.0, 2.0 and 4.0 .. 6.0: between frames 2 and 4 there is no velocity.
    np.testing.assert_allclose(evaluation.sequences[0].seconds * 50, [1, 2, 4, 5, 6])


def test_humaneva() -> None:
    dataset = make_dataset(
        *(
            make_sequence(f"Validate/{subject}", f"{action} chunk0", joints=15)
            for subject in ("S1", "S2")
            for action in ("Walking 1", "Jog 1", "Box 1")
        ),
        make_sequence("Validate/S1", "Walking 1 chunk2", joints=15, frames=36),
        name="humaneva",
        skeleton=HUMANEVA15,
    )
    evaluation = measure(dataset, 10, 20, 60, 30, 40, 60, 50)
    assert list(evaluation.groups) == ["S1 Walk", "S2 Walk", "S1 Jog", "S2 Jog", "S1 Box", "S2 Box"]
    assert evaluation.value("mpjpe_mm", "S1 Walk") == pytest.approx(40)  # 12 at 10, 36 at 50
    assert evaluation.families["Walk and Jog"] == ["S1 Walk", "S2 Walk", "S1 Jog", "S2 Jog"]
    walk_and_jog = evaluation.by_group("mpjpe_mm", evaluation.families["Walk and Jog"])
    assert walk_and_jog.mean() == pytest.approx((40 + 30 + 20 + 40) / 4)


def test_mpjve_is_weighted_by_frames_and_needs_two() -> None:
    """As in Pavllo et al.: the mean over a take's steps, weighted by its number of frames."""
    steady, jumping = np.zeros((4, 17)), np.zeros((2, 17))
    jumping[1] = 60
    dataset = make_dataset(
        make_sequence(frames=4), make_sequence(camera="1", frames=2), make_sequence("S8", frames=1)
    )
    evaluation = measure(dataset, steady, jumping, 5)
    assert evaluation.value("mpjve_mm") == pytest.approx(2 * 60 / 6, rel=1e-4)
    assert np.isnan(evaluation.sequences[2].means["mpjve_mm"]).all()
    alone = measure(make_dataset(make_sequence(frames=1)), 5)
    assert math.isnan(alone.value("mpjve_mm"))


def test_fewer_joints() -> None:
    errors = np.zeros((12, 17))
    errors[:, H36M17.index("Spine")] = 32
    dataset = make_dataset(make_sequence(), name="mocap")
    assert measure(dataset, errors, joints=17).value("mpjpe_mm") == pytest.approx(32 / 17, abs=1e-3)
    assert measure(dataset, errors, joints=16).value("mpjpe_mm") == pytest.approx(2, abs=1e-3)
    fourteen = measure(dataset, errors, joints=14)
    assert fourteen.value("p_mpjpe_mm") == pytest.approx(0, abs=1e-3)  # aligned without it, too
    assert set(H36M17.joint_names) - set(fourteen.joint_names) == {"Hip", "Spine", "Neck/Nose"}
    assert len(scored_joints(MPI_INF_3DHP, 14)) == len(scored_joints(HUMANEVA15, 14)) == 14
    assert MPI_INF_3DHP.root not in scored_joints(MPI_INF_3DHP, 16)
    with pytest.raises(UsageError, match="--joints 16: humaneva15 has 15 joints"):
        scored_joints(HUMANEVA15, 16)


def test_cumulative_and_spread() -> None:
    errors = np.tile(np.arange(12.0)[:, None], 17)
    evaluation = measure(make_dataset(make_sequence()), errors)
    curve = evaluation.cumulative(np.array([0.0, 0.5, 5.5, 20.0]))
    np.testing.assert_allclose(curve, [0, 100 / 12, 50, 100])
    np.testing.assert_allclose(evaluation.spread()[:, 3], [2.75, 8.25], rtol=1e-4)


def test_interval_contains_the_headline_and_keeps_takes_together() -> None:
    dataset = make_dataset(
        *(make_sequence("S9", f"Sitting {take}", camera) for take in range(6) for camera in "01")
    )
    levels = [take * 10 for take in range(6) for _ in "01"]
    evaluation = measure(dataset, *levels)
    low, high = evaluation.interval("mpjpe_mm") or (0, 0)
    assert evaluation.value("mpjpe_mm") == pytest.approx(25, abs=1e-3)
    assert low < 25 < high
    # The mean of six draws from 0 .. 50 has a standard deviation of 17.1 / sqrt(6) = 7.0.
    assert high - low == pytest.approx(2 * 1.96 * 7.0, rel=0.15)
    same = measure(make_dataset(make_sequence(), make_sequence(camera="1")), 5, 10)
    assert same.interval("mpjpe_mm") is None


def test_checkpoint_of_another_skeleton() -> None:
    with pytest.raises(UsageError, match="for 15 joints of humaneva15, but h36m has 17 of h36m17"):
        evaluate(make_checkpoint(skeleton=HUMANEVA15), make_dataset(make_sequence()))
    with pytest.raises(UsageError, match="for 17 joints of coco17, but h36m has 17 of h36m17"):
        evaluate(make_checkpoint(skeleton=COCO17), make_dataset(make_sequence()))


def test_note_on_another_frame_rate() -> None:
    dataset = make_dataset(make_sequence())
    said: list[Event] = []
    evaluate(make_checkpoint(fps=50.0), dataset, report=said.append)
    assert not said
    evaluate(make_checkpoint(fps=30.0), dataset, report=said.append)
    assert len(said) == 1
    assert "h36m has 50 frames/s, the weights were trained at 30" in str(said[0])


def test_no_frame_to_score() -> None:
    unscored = make_sequence(valid=np.zeros(12, bool))
    for dataset in (make_dataset(), make_dataset(unscored)):
        with pytest.raises(DataError, match="no test sequence with a frame to score"):
            evaluate(make_checkpoint(), dataset)
    assert len(evaluate(make_checkpoint(), make_dataset(unscored, make_sequence()))) == 2


def test_nan_predictions() -> None:
    checkpoint: Checkpoint = make_checkpoint()
    with torch.no_grad():
        next(checkpoint.model.parameters()).fill_(math.nan)
    with pytest.raises(VidposeError, match="x predicts NaN or infinity for S9/Walking 1/0"):
        evaluate(checkpoint, make_dataset(make_sequence()), label="x")
