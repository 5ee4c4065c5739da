"""The ONNX model gives the same results as PyTorch, and the example needs no PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

import vidpose
from tests.models.test_models import small
from vidpose.cli import main
from vidpose.errors import MissingDependencyError, UsageError, VidposeError
from vidpose.lifting import onnx_export
from vidpose.lifting.lifter import Lifter
from vidpose.lifting.onnx_export import export_onnx, metadata
from vidpose.lifting.sliding_window import BLOCK
from vidpose.models import MODELS, Checkpoint, load_checkpoint, save_checkpoint
from vidpose.skeleton import SKELETONS
from vidpose.utils.files import sha256
from vidpose.zoo.registry import shipped

EXAMPLE = Path(__file__).parents[2] / "examples" / "lift_with_onnx.py"
SIZE, FOCAL_PX = (1280, 720), 1100.0
TOLERANCE_M = 1e-4


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights that come with vidpose."""
    return export_onnx("default", tmp_path_factory.mktemp("onnx") / "default.onnx")


def track(frames: int, joints: int = 17) -> NDArray[np.float64]:
    """(T, J, 2) pixels of a random walk with gaps, also of the root."""
    random = np.random.default_rng(frames)
    steps = random.normal(size=(frames, joints, 2))
    pixels = (640, 360) + 80 * random.normal(size=(joints, 2)) + np.cumsum(2 * steps, axis=0)
    pixels[random.random((frames, joints)) < 0.1] = np.nan
    pixels[frames // 2] = (600, 300) + 80 * random.normal(size=(joints, 2))
    return pixels


def run(path: Path, pixels: NDArray[np.float64], focal_px: float = FOCAL_PX) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    values = {"keypoints_px": pixels, "frame_size": SIZE, "focal_px": [focal_px]}
    arrays = {name: np.asarray(value, np.float32) for name, value in values.items()}
    joints: NDArray[np.float32] = session.run(None, arrays)[0]
    return joints


def small_weights(folder: Path, name: str, skeleton: str = "h36m17") -> Path:
    """A checkpoint of a small network with random weights."""
    model = small(name, joints=len(SKELETONS[skeleton]))
    checkpoint = Checkpoint(model=model, normalisation="screen", fps=50.0, skeleton=skeleton)
    save_checkpoint(folder / f"{name}.safetensors", checkpoint)
    return folder / f"{name}.safetensors"


@pytest.mark.parametrize("frames", [1, 40, 81, 200])
def test_the_default_weights_lift_as_vidpose_does(default: Path, frames: int) -> None:
    pixels = track(frames)
    expected = vidpose.lift(
        pixels, SIZE, fps=30, focal_px=FOCAL_PX, device="cpu", precision="fp32", rigid=False
    )
    assert np.ptp(expected, axis=1).max() > 0.2
    np.testing.assert_allclose(run(default, pixels), expected, atol=TOLERANCE_M)


def test_the_example_needs_no_pytorch(default: Path, tmp_path: Path) -> None:
    """In a process that cannot import PyTorch or vidpose, for tracks of one part and of two."""
    forbid = (
        "import runpy, sys\n"
        "sys.modules.update(dict.fromkeys(['torch', 'vidpose', 'onnx', 'scipy']))\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    for frames in (1, BLOCK + 5):
        pixels = track(frames)
        np.save(tmp_path / "2d.npy", pixels)
        files: list[str | Path] = [
            default,
            tmp_path / "2d.npy",
            *map(str, SIZE),
            tmp_path / "3d.npy",
        ]
        subprocess.run([sys.executable, "-c", forbid, EXAMPLE, *files], check=True)
        expected = vidpose.lift(pixels, SIZE, fps=30, device="cpu", precision="fp32", rigid=False)
        np.testing.assert_allclose(np.load(tmp_path / "3d.npy"), expected, atol=TOLERANCE_M)


def test_the_example_is_as_short_as_it_says() -> None:
    code = EXAMPLE.read_text().split('"""', 2)[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 20


@pytest.mark.parametrize("name", MODELS)
def test_every_network_can_be_exported(name: str, tmp_path: Path) -> None:
    """Also networks without `knows_missing`, and the paper's normalisation."""
    weights = small_weights(tmp_path, name)
    path = export_onnx(weights, tmp_path / "net.onnx", flip=False)
    lifter = Lifter(load_checkpoint(weights), flip=False, precision="fp32")
    for length in (1, 5, 9, 30):
        pixels = track(length)
        expected = lifter(pixels, np.arange(length) / 50, SIZE, FOCAL_PX).joints
        np.testing.assert_allclose(run(path, pixels), expected, atol=TOLERANCE_M)


def test_another_skeleton(tmp_path: Path) -> None:
    weights = small_weights(tmp_path, "joints", "humaneva15")
    path = export_onnx(weights, tmp_path / "net.onnx", flip=False)
    joints = run(path, track(12, joints=15))
    assert joints.shape == (12, 15, 3)
    assert not joints[:, 0].any()


def test_no_scatter_add_is_exported(default: Path) -> None:
    """ONNX Runtime's threads lose updates where indices repeat."""
    import onnx

    nodes = [n for n in onnx.load(default).graph.node if n.op_type.startswith("Scatter")]
    reductions = [a.s for node in nodes for a in node.attribute if a.name == "reduction"]
    assert set(reductions) <= {b"none"}


def test_a_track_without_joints_gives_nan(default: Path) -> None:
    assert np.isnan(run(default, np.full((4, 17, 2), np.nan))).all()


def test_the_metadata_describe_the_model(default: Path) -> None:
    import onnx

    model = onnx.load(default)
    onnx.checker.check_model(model)
    about = {entry.key: entry.value for entry in model.metadata_props}
    weights = shipped()["default"]
    checkpoint = load_checkpoint(weights)
    assert about["format"] == "vidpose-onnx/1"
    assert about["vidpose_version"] == vidpose.__version__
    assert about["weights_sha256"] == sha256(weights)
    assert about["licence"] == "Apache-2.0"
    assert json.loads(about["config"]) == asdict(checkpoint.model.config)
    assert json.loads(about["joint_names"])[:2] == ["Hip", "RHip"]
    assert json.loads(about["units"])["joints_m"] == "m"
    assert (about["fps"], about["window_frames"], about["stride_frames"]) == ("30.0", "81", "6")
    assert about["margin_frames"] == "84"
    assert json.loads(about["flip"]) is True
    assert [put.name for put in model.graph.input] == ["keypoints_px", "frame_size", "focal_px"]
    for put in (model.graph.input[0], model.graph.output[0]):
        assert put.type.tensor_type.shape.dim[0].dim_param == "frames"
    # No path of the machine that wrote it.
    assert str(Path(onnx_export.__file__).parents[2]).encode() not in default.read_bytes()


def test_other_weights_get_no_licence(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(small_weights(tmp_path, "poseformer"))
    assert "licence" not in metadata(checkpoint, flip=True)
    assert metadata(checkpoint, flip=True)["margin_frames"] == "4"


def test_only_files_that_vidpose_wrote_are_replaced(
    default: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(b"somebody else's")
    with pytest.raises(UsageError, match="was not written by vidpose"):
        export_onnx("default", "net.onnx")
    assert Path("net.onnx").read_bytes() == b"somebody else's"
    with pytest.raises(UsageError, match=r"ends in \.onnx"):
        export_onnx("default", "net.tflite")
    # A file of ours is; without -o it takes the weights' name.
    weights = small_weights(tmp_path, "martinez")
    Path("martinez.onnx").write_bytes(default.read_bytes())
    done = CliRunner().invoke(main, ["weights", "export", str(weights), "--to", "onnx"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("Converting, and comparing with PyTorch")
    assert done.stdout.endswith("Written: martinez.onnx\n")
    assert Path("martinez.onnx").read_bytes() != default.read_bytes()


RESULT = Path(__file__).parents[1] / "fixtures" / "first_version_result.npz"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((RESULT,), f"{RESULT} holds arrays, such as a result, and no weights; give a"),
        (("nowhere",), "nowhere does not exist; give a .safetensors file, or a name of weights:"),
        (("default", "-o", "net.tflite"), "-o net.tflite: give a file that ends in .onnx."),
    ],
    ids=["a result", "nothing", "another suffix"],
)
def test_errors_are_reported_before_any_work(
    arguments: tuple[str | Path, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["weights", "export", *map(str, arguments)])
    assert done.exit_code in (1, 2)
    assert done.output.startswith(f"Error: {told}")
    assert done.output.count("\n") == 1


def test_a_file_that_differs_from_pytorch_is_not_written(
    default: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    other = small_weights(tmp_path, "sequence")
    monkeypatch.setattr(onnx_export, "_convert", lambda net: onnx.load(default))
    with pytest.raises(VidposeError, match="differs from the network by"):
        export_onnx(other, tmp_path / "other.onnx", flip=False)
    assert list(tmp_path.iterdir()) == [other]


def test_what_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vidpose\[onnx\]'"):
        export_onnx("default", tmp_path / "a.onnx")
