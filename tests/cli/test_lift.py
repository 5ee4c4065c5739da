"""`vidpose lift`, `infer --save-2d`, `weights` and `doctor` on the command line."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import vidpose
from tests.clips import make_clip
from tests.fakes import tiny_weights, use_fake_detector
from tests.file_server import Site, serving
from tests.keypoints import files
from tests.official_files import poseformer_state, write_official
from vidpose.cli import main
from vidpose.skeleton import OPENPOSE25
from vidpose.zoo import registry as weights
from vidpose.zoo.registry import Weights

Run = Callable[..., Result]
WITH = ("--weights", "tiny.safetensors", "--device", "cpu", "--precision", "fp32")
TOLD = ("--fps", "30", "--size", "640x480", "--skeleton", "coco17", *WITH)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in a folder with a tiny network, and an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIDPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    tiny_weights(tmp_path / "tiny.safetensors")

    def invoke(*arguments: str | Path) -> Result:
        return CliRunner().invoke(main, [str(a) for a in arguments])

    return invoke


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test on any network access."""

    def refuse(*_: object) -> None:
        raise AssertionError("something reaches out to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def sentence(result: Result, code: int = 1) -> str:
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    return result.stderr.strip().splitlines()[-1]


def test_a_video_is_for_infer(run: Run, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=2)
    said = sentence(run("lift", clip), code=2)
    assert said.startswith(f"Error: {clip} is a video; `vidpose infer {clip}` finds the 2D joints")


def test_warnings_about_a_file_are_printed_and_recorded(run: Run, tmp_path: Path) -> None:
    path = files.alphapose(tmp_path / "x.json", range(20))
    rows = [row | {"idx": 0} for row in json.loads(path.read_text())]
    result = run("lift", files.dump(path, rows), *TOLD[:4], *WITH, "-o", "out.npz")
    assert result.exit_code == 0, result.output
    assert "one ID stands for several people" in result.stderr
    kept = vidpose.load(tmp_path / "out.npz").meta["warnings"]
    assert "one ID stands for several people" in kept[0]


def test_lift(run: Run, tmp_path: Path) -> None:
    files.mmpose(tmp_path / "clip.json", range(3, 20))
    result = run("lift", "clip.json", *TOLD, "-o", "out")
    assert result.exit_code == 0, result.output
    first, last, *trust = result.stdout.splitlines()
    assert trust[0] == "Quality report (proxies, not accuracy):"
    assert first.startswith("2D joints: clip.json (mmpose, coco17). Weights: tiny.safetensors.")
    assert last == "2 people in 17 frames: out/clip.npz"
    lifted = vidpose.load("out/clip.npz")
    assert lifted.frame_indices.tolist() == list(range(3, 20))
    assert np.isfinite(lifted.joints_3d).all()
    assert lifted.meta["keypoints"]["format"] == "mmpose"
    assert len(lifted.meta["keypoints"]["sha256"]) == 64
    assert lifted.meta["detector"] == {"name": "mmpose"}
    assert lifted.meta["source"] is None
    assert run("render", "out/clip.npz").stdout == "3D scene: out/clip.mp4\n"


def test_lift_joints_that_are_never_seen(run: Run, tmp_path: Path) -> None:
    lost = tuple(n for n in OPENPOSE25.joint_names if "ankle" in n or "eye" in n or "ear" in n)
    files.openpose(tmp_path / "json", range(20), missing=(*lost, "nose"))
    result = run("lift", "json", *TOLD, "--skeleton", "openpose25")
    assert result.exit_code == 0, result.output
    lifted = vidpose.load("outputs/json.npz")
    assert np.isfinite(lifted.joints_3d).all()
    assert np.isnan(lifted.keypoints_2d[:, :, 3]).all()


def test_infer_saves_2d_and_lift_gives_the_same_3d(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    make_clip(tmp_path / "a.mp4")
    result = run("infer", "a.mp4", *WITH, "--save-2d", "--save-mmpose")
    assert result.exit_code == 0, result.output
    made = sorted(path.name for path in (tmp_path / "outputs").iterdir())
    assert made == ["a.2d.npz", "a.mmpose.json", "a.npz"]
    for line in ("2D joints: outputs/a.2d.npz", "2D joints for MMPose: outputs/a.mmpose.json"):
        assert line in result.output.splitlines()
    whole = vidpose.load("outputs/a.npz")

    for path in ("outputs/a.2d.npz", "outputs/a.npz"):
        assert run("lift", path, *WITH, "-o", "again").exit_code == 0
        again = vidpose.load("again/a.npz")
        np.testing.assert_array_equal(again.joints_3d, whole.joints_3d)
        np.testing.assert_array_equal(again.root_3d, whole.root_3d)
        assert again.meta["source"] == whole.meta["source"]
        assert again.meta["detector"] == whole.meta["detector"]
    assert run("render", "again/a.npz").exit_code == 0

    assert run("lift", "outputs/a.mmpose.json", *WITH, "-o", "json").exit_code == 0
    json_3d = vidpose.load("json/a.npz").joints_3d
    np.testing.assert_allclose(json_3d, whole.joints_3d, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("lift", "a.npz", *WITH, "-o", "."), 2, "would overwrite a.npz"),
        (("lift", "no.json", *TOLD), 1, "no.json does not exist"),
        (("lift", "x.json", *TOLD, "--fps", "-3"), 2, "--fps -3"),
        (("lift", "x.json", *WITH), 2, "skeleton of its 17 joints; give --skeleton coco17"),
        (("lift", "x.json", *WITH, "--skeleton", "coco17"), 2, "give --fps FRAMES_A_SECOND and"),
        (("lift", "x.json", *TOLD, "--size", "640"), 2, "as in 1920x1080"),
        (("lift", "x.json", *TOLD, "--size", "0x5"), 2, "as in 1920x1080"),
        (("lift", "x.json", *TOLD, "--format", "npz"), 1, "x.json is not a readable NumPy file"),
        (("lift", "x.json", *TOLD, "--focal-px", "0"), 2, "--focal-px 0"),
        (("weights", "fetch", "hrnet"), 2, "there are no weights hrnet; choose from hrnet-w32"),
        (("weights", "fetch", "default"), 2, "default comes with vidpose and need not be"),
        (("weights", "fetch", "cpn-r50-256x192"), 1, "download it from https://drive.google.com"),
    ],
)
def test_one_sentence(
    arguments: tuple[str, ...], code: int, message: str, run: Run, tmp_path: Path
) -> None:
    files.mmpose(tmp_path / "x.json", range(20))
    (tmp_path / "a.npz").write_text("anything")
    assert message in sentence(run(*arguments), code)


def test_weights_list_and_fetch(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Site(b"network")) as site:
        entry = Weights(name="net", what="a network", file="n.pth", source=site.url)
        monkeypatch.setattr(weights, "REGISTRY", {"net": entry})
        assert "not downloaded" in run("weights", "list").stdout
        result = run("weights", "fetch", "net")
    assert result.exit_code == 0, result.output
    path = tmp_path / "cache" / "weights" / "n.pth"
    assert result.stdout == f"net: {path}\n"
    table = run("weights", "list").stdout
    assert table.startswith("default")
    assert f"    file     {path}\n    from     {site.url} (licence: Apache-2.0)\n" in table
    assert "in the cache, verified" in table


@pytest.mark.usefixtures("offline")
def test_nothing_else_downloads(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clip(tmp_path / "a.mp4", size=(320, 240))
    files.mmpose(tmp_path / "x.json", range(20))
    tiny = ("--weights", "tiny.safetensors")
    assert "Nobody" in sentence(run("infer", "a.mp4", *tiny))  # with the real detector
    assert run("lift", "x.json", *TOLD).exit_code == 0
    assert run("weights", "list").exit_code == 0
    assert run("doctor").exit_code == 0
    assert not list((tmp_path / "cache").glob("weights/*"))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_precision_asked_for_is_in_the_result(precision: str, run: Run, tmp_path: Path) -> None:
    files.mmpose(tmp_path / "x.json", range(20))
    result = run("lift", "x.json", *TOLD, "--precision", precision)
    assert result.exit_code == 0, result.output
    assert vidpose.load("outputs/x.npz").meta["lifter"]["precision"] == precision


def test_doctor(run: Run) -> None:
    result = run("doctor", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["well"] is True
    names = [check["name"] for check in report["checks"]]
    for name in ("python", "numpy", "torchvision.ops.nms", "libx264 in av", "weights hrnet-w32"):
        assert name in names
    lines = run("doctor").stdout.splitlines()
    assert lines[0].split()[:2] == ["ok", "python"]


def test_doctor_fails_where_the_main_job_would(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "OWN_FOLDER", Path(os.devnull))
    result = run("doctor")
    assert result.exit_code == 1
    assert "broken  weights default" in result.stdout


def test_official_checkpoints(run: Run, tmp_path: Path) -> None:
    files.mmpose(tmp_path / "clip.json", range(3, 20))
    write_official(tmp_path / "detected9f.bin", poseformer_state())
    result = run("weights", "import", "detected9f.bin")
    assert result.exit_code == 0, result.output
    first, assumed = result.stdout.splitlines()
    assert first == (
        "PoseFormer, 9 frames, 17 joints (h36m17), 50 frames/s, epoch 58: detected9f.safetensors"
    )
    assert "PoseFormer publishes such networks for h36m17 at 50" in assumed
    result = run(
        "weights", "import", "detected9f.bin", "--skeleton", "coco17", "-o", "c.safetensors"
    )
    assert "record its frame rate; 50 frames/s is assumed" in result.stdout
    assert "publishes" not in result.stdout
    options = ("--skeleton", "mpi_inf_3dhp", "--fps", "25", "-o", "other.safetensors")
    result = run("weights", "import", "detected9f.bin", *options)
    (line,) = result.stdout.splitlines()
    assert "17 joints (mpi_inf_3dhp), 25 frames/s" in line
    joints = []
    for name in ("detected9f.bin", "detected9f.safetensors"):
        result = run("lift", "clip.json", *TOLD, "--weights", name, "-o", "out")
        assert result.exit_code == 0, result.output
        joints.append(vidpose.load("out/clip.npz").joints_3d)
    np.testing.assert_allclose(joints[0], joints[1], atol=1e-5)

    line = sentence(run("weights", "import", "detected9f.bin", "--fps", "0"), code=2)
    assert "--fps 0" in line
    line = sentence(run("weights", "import", "clip.json"))
    assert "clip.json was not written by torch.save" in line
