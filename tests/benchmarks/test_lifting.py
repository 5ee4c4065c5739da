"""The lifting benchmark: the same people and noise for all weights, and correct descriptions."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bvh_files import write_mocap
from vidpose.errors import DataError, UsageError
from vidpose.lifting.lifter import LiftedTrack
from vidpose.models import Checkpoint, Martinez, PoseFormer, VideoPose, save_checkpoint
from vidpose.models.base import LiftingModel
from vidpose.skeleton import H36M17

HELD_OUT = ["02", "10", "12"]
MODELS: list[LiftingModel] = [
    PoseFormer(frames=3, embed_dim=8, depth=1, heads=2),
    Martinez(frames=1, width=16),
    VideoPose(frames=9, channels=8),
]


@pytest.fixture
def mocap(tmp_path: Path) -> Path:
    return write_mocap(tmp_path / "mocap", tuple(HELD_OUT))


def save(path: Path, model: LiftingModel, held_out: list[str], dataset: str = "mocap") -> str:
    checkpoint = Checkpoint(
        model=model,
        normalisation="person",
        fps=30.0,
        skeleton=H36M17.name,
        training={"dataset": dataset, "held_out": held_out},
    )
    save_checkpoint(path, checkpoint)
    return str(path)


def somebody(frames: int = 600) -> Any:
    rng = np.random.default_rng(1)
    return np.repeat(rng.normal(size=(1, 17, 2)), frames, axis=0)


def test_clean_has_no_noise_and_noise_is_reproducible(module: Any) -> None:
    noise = module("keypoint_noise")
    rays = somebody()
    np.testing.assert_array_equal(noise.add_noise(rays, 30.0, noise.CLEAN, (1, 2)), rays)
    for profile in (noise.DEFAULT, noise.EMBEDDED):
        once = noise.add_noise(rays, 30.0, profile, (1, 2))
        np.testing.assert_array_equal(noise.add_noise(rays, 30.0, profile, (1, 2)), once)
        assert not np.array_equal(
            noise.add_noise(rays, 30.0, profile, (1, 3)), once, equal_nan=True
        )


def test_noise_has_the_stated_size_and_duration(module: Any) -> None:
    noise = module("keypoint_noise")
    rays = somebody(20_000)
    size = np.linalg.norm(rays[0] - rays[0, :1], axis=-1).mean()
    jitter = noise.Noise(about="", jitter_sd=(0.02, 0.02))
    error = (noise.add_noise(rays, 30.0, jitter, (0,)) - rays) / size
    assert error.std() == pytest.approx(0.02, rel=0.02)
    correlated = noise.Noise(about="", correlated_sd=(0.03, 0.03), correlated_s=0.2)
    error = (noise.add_noise(rays, 50.0, correlated, (0,)) - rays) / size
    assert error.std() == pytest.approx(0.03, rel=0.05)
    later = (error[10:] * error[:-10]).mean() / np.square(error).mean()
    assert later == pytest.approx(np.exp(-1), abs=0.05)
    dropout = noise.Noise(about="", dropout_rate=0.2, dropout_s=(0.5, 0.5), dropout_missing=1.0)
    away = np.isnan(noise.add_noise(rays, 30.0, dropout, (0,))[..., 0])
    assert away.mean() == pytest.approx(1 - np.exp(-0.1), rel=0.2)
    missed = noise.Noise(about="", missed_rate=0.1, missed_s=(0.2, 0.2))
    away = np.isnan(noise.add_noise(rays, 30.0, missed, (0,))[..., 0])
    assert (away.all(axis=1) == away.any(axis=1)).all()
    assert 0.01 < away.mean() < 0.03
    swap = noise.Noise(about="", swap_rate=0.2, swap_s=(0.5, 0.5))
    swapped = noise.add_noise(rays, 30.0, swap, (0,))
    crossed = (swapped == rays[:, H36M17.mirrored]).all(axis=(1, 2))
    assert 0.05 < crossed.mean() < 0.15
    np.testing.assert_array_equal(swapped[~crossed], rays[~crossed])


def test_correlated_errors_do_not_depend_on_the_frame_rate(module: Any) -> None:
    noise = module("keypoint_noise")
    slow = noise.Noise(about="", bias_sd=0.03, drift_sd=0.03)
    at_25 = noise.add_noise(somebody(50), 25.0, slow, (4,))
    at_50 = noise.add_noise(somebody(100), 50.0, slow, (4,))
    np.testing.assert_allclose(at_50[::2], at_25)


@pytest.mark.parametrize(("what", "count"), [("legs", 4), ("arm", 2)])
def test_hidden_joints_are_missing_for_a_second_or_two(module: Any, what: str, count: int) -> None:
    noise = module("keypoint_noise")
    rays = somebody(240)
    hidden = noise.hide(rays, 30.0, what, (1,))
    assert hidden.sum() in range(29, 62)
    assert (np.isnan(rays[..., 0]).sum(axis=1) == np.where(hidden, count, 0)).all()


def test_hidden_joints_are_guessed_or_cut_off_throughout(module: Any) -> None:
    noise = module("keypoint_noise")
    rays = somebody(240)
    guessed = rays.copy()
    hidden = noise.hide(guessed, 30.0, "legs", (1,), guessed=True)
    off = guessed - rays
    assert (np.abs(off).max(axis=(1, 2)) > 0).tolist() == hidden.tolist()
    assert np.abs(off[hidden] - off[hidden][0]).max() < 1e-9  # they move with the person
    assert ((off[hidden][0] != 0).all(axis=1)).sum() == 4
    assert noise.hide(rays, 30.0, "feet", (1,)).all()
    feet = [H36M17.index(name) for name in ("LFoot", "RFoot")]
    assert np.flatnonzero(np.isnan(rays[..., 0]).all(axis=0)).tolist() == sorted(feet)
    assert np.isnan(rays[..., 0]).sum() == 2 * 240


def test_weights_trained_on_the_subjects_are_an_error(
    module: Any, mocap: Path, tmp_path: Path
) -> None:
    lifting = module("lifting")
    path = save(tmp_path / "seen.safetensors", MODELS[0], ["02", "10"])
    with pytest.raises(UsageError, match="12 were held out"):
        lifting.run(mocap, [path], quick=True, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    knows = {"dataset": "mocap", "held_out": ["02"]}
    later = {"began_with": knows, "held_out": HELD_OUT, "dataset": "mocap"}
    chosen = {"recipe": {"select_on": "test"}, "held_out": HELD_OUT, "dataset": "mocap"}
    for training, message in (
        (later, "the initial checkpoint of it does"),
        (chosen, "was selected by its error"),
    ):
        with pytest.raises(UsageError, match=message):
            lifting.check_held_out(training, "it")
    other = save(tmp_path / "other.safetensors", MODELS[0], [], dataset="h36m")
    lifting.check_held_out(lifting.load_lifter_checkpoint(other).training, other)


def test_training_subjects_are_measured_on_request(
    module: Any, mocap: Path, tmp_path: Path
) -> None:
    write_mocap(mocap, ("01", "06"))
    path = save(tmp_path / "seen.safetensors", MODELS[0], [*HELD_OUT, "06"])
    how = {"quick": False, "out": tmp_path / "out", "only": ["one build"], "trained": True}
    module("lifting").run(mocap, [path], **how)
    text = (tmp_path / "out" / "benchmark.md").read_text()
    assert "Subjects 01, training subjects: " in text
    other = save(tmp_path / "other.safetensors", MODELS[0], ["02", "12"])
    with pytest.raises(UsageError, match="was not trained on all subjects except 02, 10, 12"):
        module("lifting").run(mocap, [other], **how)


def test_an_unknown_condition_is_an_error(module: Any, mocap: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", MODELS[0], HELD_OUT)
    with pytest.raises(UsageError, match="--only wet: choose from default, clean"):
        module("lifting").run(mocap, [path], quick=True, out=tmp_path / "out", only=["wet"])


def test_a_folder_without_the_subjects_is_an_error(module: Any, mocap: Path) -> None:
    (mocap / "12" / "12_01.bvh").unlink()
    with pytest.raises(DataError, match="lacks one of the subjects"):
        module("lifting").read_people(mocap)


def test_all_weights_get_one_table(
    module: Any, mocap: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lifting = module("lifting")
    names = ("a", "b", "c", "again")
    models = zip(names, [*MODELS, MODELS[0]], strict=True)
    weights = [save(tmp_path / f"{name}.safetensors", model, HELD_OUT) for name, model in models]
    lifting.run(mocap, weights, quick=True, out=tmp_path / "out")
    text = (tmp_path / "out" / "benchmark.md").read_text()
    assert "| condition | description | a | b | c | again |" in text
    assert text in capsys.readouterr().out
    with (tmp_path / "out" / "benchmark.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 3 * 4  # weights, conditions, metrics
    by = {(row["weights"], row["condition"], row["metric"]): row for row in rows}
    assert by["a", "default", "p_mpjpe_mm"]["mean"] == by["again", "default", "p_mpjpe_mm"]["mean"]
    assert by["a", "default", "p_mpjpe_mm"]["mean"] != by["b", "default", "p_mpjpe_mm"]["mean"]
    mean = np.mean([float(by["c", "clean", "mpjpe_mm"][name]) for name in H36M17.joint_names])
    assert float(by["c", "clean", "mpjpe_mm"]["mean"]) == pytest.approx(mean, abs=0.002)
    for picture in ("conditions.png", "joints.png"):
        assert (tmp_path / "out" / picture).read_bytes().startswith(b"\x89PNG")


def test_live_conditions_use_fewer_future_frames(module: Any, mocap: Path, tmp_path: Path) -> None:
    """A network with a receptive field of 4 frames on either side uses these and no more."""
    lifting = module("lifting")
    path = save(tmp_path / "a.safetensors", MODELS[2], HELD_OUT)
    lifter = lifting.Lifter(lifting.load_lifter_checkpoint(path), precision="fp32")
    clips = lifting.read_people(mocap)
    cameras, (stretch, *_) = lifting.VirtualCameras(clips), lifting.stretches(clips)
    rows = {row.name: row for row in lifting.live_conditions()}
    view = lifting.see(cameras, stretch, 0, rows["all"])
    whole = lifting.lift(lifter, view, True, rigid=False)
    live = {n: lifting.lift(lifter, view, True, rigid=False, future=n) for n in (0, 6)}
    np.testing.assert_allclose(live[6][6:-6], whole[6:-6], atol=1e-4)
    assert np.abs(live[0][6:-6] - whole[6:-6]).max() > 1e-3
    how: dict[str, Any] = {"quick": False, "live": True, "every": 100, "out": tmp_path / "out"}
    lifting.run(mocap, [path], only=["3 ahead", "all"], **how)
    assert (
        "| 3 ahead | 3 future frames, 0.10 s; no flip averaging |"
        in (tmp_path / "out/benchmark.md").read_text()
    )


def test_every_condition_has_a_view(module: Any, mocap: Path) -> None:
    lifting = module("lifting")
    clips = lifting.read_people(mocap)
    cameras, (stretch, *_) = lifting.VirtualCameras(clips), lifting.stretches(clips)
    rows = lifting.conditions(quick=False)
    assert len({row.name for row in rows}) == len(rows)
    default = lifting.see(cameras, stretch, 0, rows[0])
    for row in rows:
        view = lifting.see(cameras, stretch, 0, row)
        assert view.scored.any()
        assert np.isfinite(view.joints).all()
        if row.cameras == rows[0].cameras and row.fps == 30 and row.segment_sd:
            np.testing.assert_array_equal(view.joints, default.joints)


def test_errors_match_their_definitions(module: Any) -> None:
    lifting = module("lifting")
    condition = lifting.conditions(quick=True)[0]
    rng = np.random.default_rng(0)
    joints = rng.normal(size=(30, 17, 3))
    view = lifting.View(
        pixels=joints[..., :2], joints=joints, scored=np.ones(30, bool), fps=10.0, focal_px=1.0
    )
    found = lifting.Errors(weights="w", condition=condition)
    bend = np.zeros_like(joints)
    bend[..., 2] = 0.5 * 3.0 * np.square(np.arange(30)[:, None] / 10)  # 3 m/s^2
    found.add(joints + bend, view)
    assert found.value("jitter") == pytest.approx(3.0)
    assert found.value("mpjpe_mm") == pytest.approx(1000 * bend[..., 2].mean())
    twice = lifting.Errors(weights="w", condition=condition)
    twice.add(2 * joints, view)
    assert twice.value("n_mpjpe_mm") == pytest.approx(0, abs=1e-6)
    assert twice.value("p_mpjpe_mm") == pytest.approx(0, abs=1e-6)
    assert twice.value("mpjpe_mm") > 100


def test_frame_rates_resampled_and_unchanged(module: Any) -> None:
    lifting = module("lifting")
    view = lifting.View(
        pixels=np.zeros((11, 17, 2)),
        joints=np.zeros((11, 17, 3)),
        scored=np.ones(11, bool),
        fps=60.0,
        focal_px=1.0,
    )
    seconds = []

    class Lifter:
        checkpoint = Checkpoint(
            model=MODELS[0], normalisation="person", fps=30.0, skeleton=H36M17.name
        )

        def __call__(self, pixels: Any, times: Any, *_: Any) -> Any:
            seconds.append(times[-1])
            joints = np.zeros((len(pixels), 17, 3), np.float32)
            return LiftedTrack(joints, np.zeros(len(pixels), np.float32))

    lifting.lift(Lifter(), view, True)
    lifting.lift(Lifter(), view, False)
    assert seconds == pytest.approx([10 / 60, 10 / 30])

    given: Any = np.random.default_rng(0).normal(size=(11, 17, 3))
    given[:, 0] = 0

    class Guess(Lifter):
        def __call__(self, pixels: Any, times: Any, *_: Any) -> Any:
            return LiftedTrack(given.copy(), np.zeros(len(given), np.float32))

    np.testing.assert_array_equal(lifting.lift(Guess(), view, True, rigid=False), given)
    heads = np.diff(lifting.lift(Guess(), view, True)[:, [9, 10]], axis=1)
    assert np.ptp(np.linalg.norm(heads, axis=-1)) < 1e-9


PINNED = {
    "default": (668.882, 319.698, 0.258544),
    "clean": (668.170, 318.828, 0.258544),
    "embedded": (668.324, 319.203, 0.258544),
    "wide lens": (606.326, 212.351, 0.260058),
    "rolled": (687.494, 309.074, 0.257233),
}
"""The mean and spread of the pixels in one view of a synthetic clip, and the mean of its joints."""


def test_weights_with_one_name_get_different_labels(
    module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for run in ("x/a", "y/a", "y/b"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "best.safetensors").touch()
    labels = module("lifting").labels
    files = [f"{run}/best.safetensors" for run in ("x/a", "y/a", "y/b")]
    assert labels(files) == ["x/a/best", "y/a/best", "y/b/best"]
    assert labels([*files[1:], "default"]) == ["a/best", "b/best", "default"]
    with pytest.raises(UsageError, match="named twice"):
        labels([files[0], str(tmp_path / files[0])])


def test_the_benchmark_never_changes(module: Any, mocap: Path) -> None:
    """Training's cameras and noise may change; the benchmark's may not.

    If this fails, all results of the benchmark have to be measured again.
    """
    lifting = module("lifting")
    clips = lifting.read_people(mocap)
    cameras = lifting.VirtualCameras(clips)
    conditions = {row.name: row for row in lifting.conditions(quick=False)}
    stretch = lifting.stretches(clips)[0]
    for name, sums in PINNED.items():
        view = lifting.see(cameras, stretch, 0, conditions[name])
        found = (np.nanmean(view.pixels), np.nanstd(view.pixels), np.abs(view.joints).mean())
        assert found == pytest.approx(sums, rel=1e-4), name


def test_weights_trained_on_several_datasets_have_a_ground_plane_and_a_gait(
    module: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mocap = write_mocap(tmp_path / "mocap", tuple(HELD_OUT), frames=480)
    path = save(tmp_path / "both.safetensors", MODELS[0], [*HELD_OUT, "s07", "06"])
    module("ground_plane").measure(mocap, path, cameras=1, noise=1.0)
    assert "3 views of 3 to 8 s, subjects 02, 10, 12" in capsys.readouterr().out
    assert "3 views of 3 to 8 s" in module("gait").measure(mocap, path, cameras=1)
