from pathlib import Path

import numpy as np
import pytest

import vidpose
from tests.cli.test_infer import Run, run, sentence
from tests.clips import make_clip
from tests.export.people import passers_by
from tests.fakes import tiny_weights, use_fake_detector

__all__ = ["run"]  # a fixture


@pytest.fixture
def result(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return vidpose.save(passers_by(), tmp_path / "out" / "walk.npz")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_export(run: Run, result: Path, tmp_path: Path) -> None:
    done = run("export", "out/walk.npz", "--to", "csv,bvh")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "BVH cannot represent gaps; while person 2 is absent, the last pose is held.",
        "CSV: out/walk.csv",
        "BVH: out/walk_person1.bvh",
        "BVH: out/walk_person2.bvh",
    ]
    assert run("export", result, "--to", "trc", "--person", "2", "-o", "new").exit_code == 0
    assert names(tmp_path / "new") == ["walk_person2.trc"]
    one = ("--person", "2", "--unit", "m", "--up", "z", "-o", "new/b.trc")
    assert run("export", result, "--to", "trc", *one).exit_code == 0
    assert run("export", result, "--to", "angles", "-o", "new/mine.csv").exit_code == 0
    metres = (tmp_path / "new" / "b.trc").read_text().splitlines()
    assert metres[2].split("\t")[4] == "m"
    x, y, z = map(float, metres[20].split("\t")[2:5])
    np.testing.assert_allclose((x, y, z), passers_by().joints_world()[1, 14, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("--to", "fbx"),
            2,
            "'fbx' is not an export format; choose csv, angles, parquet",
        ),
        (("--to", "csv", "--person", "3"), 2, "there is no person 3; there are 1, 2."),
        (("--to", "trc", "-o", "a.trc"), 2, "there are 2; give --person ID, or a folder"),
        (("--to", "csv,trc", "-o", "a.csv"), 2, "-o a.csv does not fit --to csv,trc"),
        (("--to", "csv", "-o", "out/walk.npz"), 2, "does not fit --to csv"),
        (("--to", "csv", "-o", "out/walk.npz/a"), 1, "a part of its path is a file"),
        (("--to", "glb", "-o", "scene.gltf"), 2, "-o scene.gltf does not fit --to glb"),
    ],
)
def test_bad_input_gets_one_sentence(
    arguments: tuple[str, ...], code: int, message: str, run: Run, result: Path, tmp_path: Path
) -> None:
    assert message in sentence(run("export", result, *arguments), code)
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["walk.npz"]


def test_a_result_without_a_world(run: Run, tmp_path: Path) -> None:
    vidpose.save(passers_by(world=False), tmp_path / "walk.npz")
    line = sentence(run("export", "walk.npz", "--to", "csv,trc"), 2)
    assert "TRC needs a world frame; make the result with --world, or give --axes" in line
    assert names(tmp_path) == ["walk.npz"]
    assert run("export", "walk.npz", "--to", "csv,trc", "--axes", "camera").exit_code == 0


def test_what_is_no_result(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("hello")
    assert "not a vidpose result file" in sentence(run("export", "a.npz", "--to", "csv"))
    bad = run("export", "a.npz", "--to", "csv", "--person", "one")
    assert bad.exit_code == 2
    assert "give one or more person ids" in bad.stderr


def test_infer_exports(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_fake_detector(monkeypatch)
    make_clip(tmp_path / "a.mp4", frames=20)
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    command = ("infer", "a.mp4", "--weights", weights, "--export")
    line = sentence(run(*command, "csv,trc"), 2)
    assert "TRC needs a world frame" in line
    assert not (tmp_path / "outputs").exists()
    world = ("--world", "--camera-pitch", "0")
    done = run(*command, "csv,trc", *world)
    assert done.exit_code == 0, done.output
    assert "TRC: outputs/a_person1.trc" in done.stdout
    assert names(tmp_path / "outputs") == ["a.csv", "a.npz", "a_person1.trc"]
    (tmp_path / "outputs" / "a.csv").write_text("mine")
    assert "was not written by vidpose" in sentence(run(*command, "csv", *world), 2)
