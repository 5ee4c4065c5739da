"""The measuring stick: the same people and errors for all weights, and what it says is so."""

from __future__ import annotations

import csv
import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bvh_files import write_mocap
from vidpose.errors import DataError, UsageError
from vidpose.models import Checkpoint, Martinez, PoseFormer, VideoPose, save_checkpoint
from vidpose.models.base import LiftingModel
from vidpose.skeleton import H36M17

FOLDER = Path(__file__).parents[2] / "benchmarks"
LEFT_OUT = ["02", "10", "12"]
MODELS: list[LiftingModel] = [
    PoseFormer(frames=3, embed_dim=8, depth=1, heads=2),
    Martinez(frames=1, width=16),
    VideoPose(frames=9, channels=8),
]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a benchmark; they are scripts, and import each other as such."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for other in FOLDER.glob("*.py"):
        monkeypatch.delitem(sys.modules, other.stem, raising=False)
    yield importlib.import_module
    for other in FOLDER.glob("*.py"):
        sys.modules.pop(other.stem, None)


@pytest.fixture
def mocap(tmp_path: Path) -> Path:
    return write_mocap(tmp_path / "mocap", tuple(LEFT_OUT))


def save(path: Path, model: LiftingModel, left_out: list[str], dataset: str = "mocap") -> str:
    checkpoint = Checkpoint(
        model=model,
        normalisation="person",
        fps=30.0,
        skeleton=H36M17.name,
        training={"dataset": dataset, "held_out": left_out},
    )
    save_checkpoint(path, checkpoint)
    return str(path)


def checkpoint_of(training: dict[str, Any]) -> Checkpoint:
    return Checkpoint(
        model=MODELS[0], normalisation="person", fps=30.0, skeleton=H36M17.name, training=training
    )


def somebody(frames: int = 600) -> Any:
    rng = np.random.default_rng(1)
    return np.repeat(rng.normal(size=(1, 17, 2)), frames, axis=0)


def test_clean_noise_is_none_and_noise_repeats(module: Any) -> None:
    noise = module("noise")
    rays = somebody()
    np.testing.assert_array_equal(noise.disturb(rays, 30.0, noise.CLEAN, (1, 2)), rays)
    for profile in (noise.DEFAULT, noise.EMBEDDED):
        once = noise.disturb(rays, 30.0, profile, (1, 2))
        np.testing.assert_array_equal(noise.disturb(rays, 30.0, profile, (1, 2)), once)
        assert not np.array_equal(noise.disturb(rays, 30.0, profile, (1, 3)), once, equal_nan=True)


def test_noise_is_as_large_and_lasting_as_it_says(module: Any) -> None:
    noise = module("noise")
    rays = somebody(20_000)
    size = np.linalg.norm(rays[0] - rays[0, :1], axis=-1).mean()
    jitter = noise.Noise(about="", jitter_sd=(0.02, 0.02))
    error = (noise.disturb(rays, 30.0, jitter, (0,)) - rays) / size
    assert error.std() == pytest.approx(0.02, rel=0.02)
    wobble = noise.Noise(about="", wobble_sd=(0.03, 0.03), wobble_s=0.2)
    error = (noise.disturb(rays, 50.0, wobble, (0,)) - rays) / size
    assert error.std() == pytest.approx(0.03, rel=0.05)
    later = (error[10:] * error[:-10]).mean() / np.square(error).mean()
    assert later == pytest.approx(np.exp(-1), abs=0.05)
    lost = noise.Noise(about="", lost_rate=0.2, lost_s=(0.5, 0.5), lost_gone=1.0)
    away = np.isnan(noise.disturb(rays, 30.0, lost, (0,))[..., 0])
    assert away.mean() == pytest.approx(1 - np.exp(-0.1), rel=0.2)
    blind = noise.Noise(about="", blind_rate=0.1, blind_s=(0.2, 0.2))
    away = np.isnan(noise.disturb(rays, 30.0, blind, (0,))[..., 0])
    assert (away.all(axis=1) == away.any(axis=1)).all()
    assert 0.01 < away.mean() < 0.03
    swap = noise.Noise(about="", swap_rate=0.2, swap_s=(0.5, 0.5))
    swapped = noise.disturb(rays, 30.0, swap, (0,))
    crossed = (swapped == rays[:, H36M17.mirrored]).all(axis=(1, 2))
    assert 0.05 < crossed.mean() < 0.15
    np.testing.assert_array_equal(swapped[~crossed], rays[~crossed])


def test_lasting_errors_are_the_same_at_any_frame_rate(module: Any) -> None:
    noise = module("noise")
    slow = noise.Noise(about="", bias_sd=0.03, swing_sd=0.03)
    at_25 = noise.disturb(somebody(50), 25.0, slow, (4,))
    at_50 = noise.disturb(somebody(100), 50.0, slow, (4,))
    np.testing.assert_allclose(at_50[::2], at_25)


@pytest.mark.parametrize(("what", "count"), [("legs", 4), ("arm", 2)])
def test_hidden_joints_are_gone_for_a_second_or_two(module: Any, what: str, count: int) -> None:
    noise = module("noise")
    rays = somebody(240)
    spell = noise.hide(rays, 30.0, what, (1,))
    assert spell.sum() in range(29, 62)
    assert (np.isnan(rays[..., 0]).sum(axis=1) == np.where(spell, count, 0)).all()


def test_hidden_joints_are_guessed_or_cut_off_throughout(module: Any) -> None:
    noise = module("noise")
    rays = somebody(240)
    guessed = rays.copy()
    spell = noise.hide(guessed, 30.0, "legs", (1,), guessed=True)
    off = guessed - rays
    assert (np.abs(off).max(axis=(1, 2)) > 0).tolist() == spell.tolist()
    assert np.abs(off[spell] - off[spell][0]).max() < 1e-9  # they go along with the person
    assert ((off[spell][0] != 0).all(axis=1)).sum() == 4
    assert noise.hide(rays, 30.0, "feet", (1,)).all()
    feet = [H36M17.index(name) for name in ("LFoot", "RFoot")]
    assert np.flatnonzero(np.isnan(rays[..., 0]).all(axis=0)).tolist() == sorted(feet)
    assert np.isnan(rays[..., 0]).sum() == 2 * 240


def test_weights_that_know_the_people_are_refused(module: Any, mocap: Path, tmp_path: Path) -> None:
    lifting = module("lifting")
    path = save(tmp_path / "seen.safetensors", MODELS[0], ["02", "10"])
    with pytest.raises(UsageError, match="12 were left out"):
        lifting.main(mocap, [path], quick=True, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    knows = {"dataset": "mocap", "held_out": ["02"]}
    later = {"began_with": knows, "held_out": LEFT_OUT, "dataset": "mocap"}
    chosen = {"recipe": {"select_on": "test"}, "held_out": LEFT_OUT, "dataset": "mocap"}
    for told, message in ((later, "what it began with does"), (chosen, "was chosen by its error")):
        with pytest.raises(UsageError, match=message):
            lifting.check_left_out(checkpoint_of(told), "it")
    other = save(tmp_path / "other.safetensors", MODELS[0], [], dataset="h36m")
    lifting.check_left_out(lifting.load_lifter_checkpoint(other), other)


def test_people_who_were_trained_on_are_looked_at_when_asked(
    module: Any, mocap: Path, tmp_path: Path
) -> None:
    write_mocap(mocap, ("01",))
    path = save(tmp_path / "seen.safetensors", MODELS[0], LEFT_OUT)
    how = {"quick": False, "out": tmp_path / "out", "only": ["one build"], "trained": True}
    module("lifting").main(mocap, [path], **how)
    text = (tmp_path / "out" / "stick.md").read_text()
    assert "Subjects 01, whom training knows: " in text
    other = save(tmp_path / "other.safetensors", MODELS[0], ["02", "12"])
    with pytest.raises(UsageError, match="was not trained on all but 02, 10, 12"):
        module("lifting").main(mocap, [other], **how)


def test_an_unknown_condition_is_refused(module: Any, mocap: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", MODELS[0], LEFT_OUT)
    with pytest.raises(UsageError, match="--only wet: there are default, clean"):
        module("lifting").main(mocap, [path], quick=True, out=tmp_path / "out", only=["wet"])


def test_a_folder_without_the_people_is_refused(module: Any, mocap: Path) -> None:
    (mocap / "12" / "12_01.bvh").unlink()
    with pytest.raises(DataError, match="lacks one of the subjects"):
        module("lifting").read_people(mocap)


def test_all_weights_get_one_table(
    module: Any, mocap: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lifting = module("lifting")
    names = ("a", "b", "c", "again")
    models = zip(names, [*MODELS, MODELS[0]], strict=True)
    weights = [save(tmp_path / f"{name}.safetensors", model, LEFT_OUT) for name, model in models]
    lifting.main(mocap, weights, quick=True, out=tmp_path / "out")
    text = (tmp_path / "out" / "stick.md").read_text()
    assert "| condition | what | a | b | c | again |" in text
    assert text in capsys.readouterr().out
    with (tmp_path / "out" / "stick.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 3 * 4  # weights, conditions, metrics
    by = {(row["weights"], row["condition"], row["metric"]): row for row in rows}
    assert by["a", "default", "p_mpjpe_mm"]["mean"] == by["again", "default", "p_mpjpe_mm"]["mean"]
    assert by["a", "default", "p_mpjpe_mm"]["mean"] != by["b", "default", "p_mpjpe_mm"]["mean"]
    mean = np.mean([float(by["c", "clean", "mpjpe_mm"][name]) for name in H36M17.joint_names])
    assert float(by["c", "clean", "mpjpe_mm"]["mean"]) == pytest.approx(mean, abs=0.002)
    for picture in ("conditions.png", "joints.png"):
        assert (tmp_path / "out" / picture).read_bytes().startswith(b"\x89PNG")


def test_every_condition_can_be_looked_at(module: Any, mocap: Path) -> None:
    lifting = module("lifting")
    clips = lifting.read_people(mocap)
    cameras, (stretch, *_) = lifting.VirtualCameras(clips), lifting.stretches(clips)
    rows = lifting.conditions(quick=False)
    assert len({row.name for row in rows}) == len(rows)
    default = lifting.look(cameras, stretch, 0, rows[0])
    for row in rows:
        view = lifting.look(cameras, stretch, 0, row)
        assert view.scored.any()
        assert np.isfinite(view.joints).all()
        if row.cameras == rows[0].cameras and row.fps == 30 and row.segment_sd:
            np.testing.assert_array_equal(view.joints, default.joints)


def test_errors_are_what_they_are_called(module: Any) -> None:
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


def test_rates_matched_and_as_they_are(module: Any) -> None:
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
            return np.zeros((len(pixels), 17, 3))

    lifting.lift(Lifter(), view, True)
    lifting.lift(Lifter(), view, False)
    assert seconds == pytest.approx([10 / 60, 10 / 30])

    given = np.random.default_rng(0).normal(size=(11, 17, 3))
    given[:, 0] = 0

    class Guess(Lifter):
        def __call__(self, pixels: Any, times: Any, *_: Any) -> Any:
            return given.copy()

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
"""The mean and spread of the pixels in one view of a made-up clip, and the mean of its joints."""


def test_weights_called_alike_are_told_apart(
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


def test_the_stick_stays_what_it_is(module: Any, mocap: Path) -> None:
    """Training's cameras and noise may change; what weights are measured on may not.

    If this fails, all tables of docs/weights.md are to be measured again.
    """
    lifting = module("lifting")
    clips = lifting.read_people(mocap)
    cameras = lifting.VirtualCameras(clips)
    conditions = {row.name: row for row in lifting.conditions(quick=False)}
    stretch = lifting.stretches(clips)[0]
    for name, sums in PINNED.items():
        view = lifting.look(cameras, stretch, 0, conditions[name])
        found = (np.nanmean(view.pixels), np.nanstd(view.pixels), np.abs(view.joints).mean())
        assert found == pytest.approx(sums, rel=1e-4), name


def ring(module: Any) -> Any:
    """Four cameras around the origin that look at it; x right, y down."""
    real_video = module("real_video")
    cameras = []
    for turn in (0.3, 1.7, 3.2, 4.9):
        place = np.array([4 * np.cos(turn), 4 * np.sin(turn), 1.0])
        forward = -place / np.linalg.norm(place)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        matrix = np.array([[1000.0, 0, 500], [0, 1000, 400], [0, 0, 1]])
        cameras.append(
            real_video.Calibrated(matrix=matrix, lens=np.zeros(4), rotation=rotation, place=place)
        )
    return cameras


def seen_by(cameras: Any, points: Any) -> Any:
    places = [camera.camera(points) for camera in cameras]
    return np.stack([place[..., :2] / place[..., 2:] for place in places])


def test_triangulation_leaves_the_one_that_errs_out(module: Any) -> None:
    real_video, cameras = module("real_video"), ring(module)
    points = np.random.default_rng(0).normal(size=(5, 17, 3)) * 0.5
    rays = seen_by(cameras, points)
    rays[2, 1, 3] += 0.2
    rays[0, 2, 4] = np.nan
    rays[:2, 4, 5] = np.nan
    found, agree = real_video.triangulate(cameras, rays)
    assert not agree[2, 1, 3]
    assert np.isnan(found[4, 5]).all()  # two cameras are not enough
    found[4, 5] = points[4, 5]
    np.testing.assert_allclose(found, points, atol=1e-6)


def test_what_a_whole_camera_is_off_by_is_taken_off(module: Any) -> None:
    real_video, cameras = module("real_video"), ring(module)
    points = np.random.default_rng(0).normal(size=(40, 17, 3)) * 0.5
    rays = seen_by(cameras, points)
    rays[1] += [0.01, -0.005]
    rays += 0.0005 * np.random.default_rng(1).normal(size=rays.shape)
    plain, _ = real_video.triangulate(cameras, rays)
    found = real_video.truth(cameras, rays)
    off = np.linalg.norm(found.off, axis=-1).mean()
    seen = seen_by(cameras, plain)
    assert off < 0.4 * np.linalg.norm(rays - seen, axis=-1).mean()


def test_a_qualisys_calibration_is_read(module: Any, tmp_path: Path) -> None:
    turn = " ".join(
        f'r{i}{j}="{value}"'
        for i, row in enumerate(((1, 0, 0), (0, 0, 1), (0, -1, 0)), 1)
        for j, value in enumerate(row, 1)
    )
    path = tmp_path / "calibration.qca.txt"
    path.write_text(
        f'<calibration><cameras><camera><transform {turn} x="0" y="-3000" z="1000"/>'
        '<intrinsic focalLengthU="64000" focalLengthV="64000" centerPointU="32000" '
        'centerPointV="25600" radialDistortion1="0" radialDistortion2="0" '
        'tangentalDistortion1="0" tangentalDistortion2="0"/></camera></cameras></calibration>'
    )
    (camera,) = module("real_video").read_qualisys(path)
    assert camera.focal_px == 1000
    np.testing.assert_allclose(camera.camera(np.array([0.5, 0, 1.2])), [0.5, -0.2, 3.0])
    np.testing.assert_allclose(camera.rays(np.array([[600.0, 300.0]])), [[0.1, -0.1]], atol=1e-9)


def test_limbs_on_the_other_side_and_far_joints_are_counted(module: Any) -> None:
    detector_noise, real_cameras = module("detector_noise"), module("real_cameras")
    real_video, cameras = module("real_video"), ring(module)
    points = np.random.default_rng(0).normal(size=(50, 17, 3)) * 0.5
    rays = seen_by(cameras, points)
    assert len(real_cameras.LIMBS) == len(set(real_cameras.LIMBS.tolist())) == 12
    joints = points[:, :, None] @ np.eye(3)
    errors = real_cameras.errors(cameras[0].camera(joints[:, :, 0]), points, cameras[0])
    assert errors["MPJPE"].mean() == pytest.approx(0, abs=1e-6)
    true = real_video.truth(cameras, rays)

    def crossed(pixels: Any) -> float:
        poses = type("Poses", (), {})()
        poses.people, poses.observed = 1, np.ones((1, 50), bool)
        poses.keypoints_2d = pixels[None].astype(np.float32)
        seen = real_video.Seen(raw=[], poses=poses)
        return float(detector_noise._crossed(seen, cameras[0], true, 0))

    pixels = rays[0] * 1000 + [500, 400]
    assert crossed(pixels) == 0
    assert crossed(pixels[:, H36M17.mirrored]) > 0.5
