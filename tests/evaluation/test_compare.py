import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.dataset_files import h36m_like, make_checkpoint
from vidpose import datasets
from vidpose.cli import main
from vidpose.datasets.dataset import Dataset
from vidpose.errors import UsageError, VidposeError
from vidpose.evaluation.compare import compare
from vidpose.events import Event
from vidpose.models import save_checkpoint
from vidpose.skeleton import HUMANEVA15


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replace dataset files with a synthetic dataset; return the arguments of `open_dataset`."""
    asked: dict[str, Any] = {}

    def open_dataset(name: str, folder: Path, **options: Any) -> Dataset:
        asked.update(options, name=name, folder=folder)
        return h36m_like()

    monkeypatch.setattr(datasets, "open_dataset", open_dataset)
    return asked


@pytest.fixture
def weights(tmp_path: Path) -> list[str]:
    """Two checkpoints with the same file name."""
    paths = [tmp_path / run / "best.safetensors" for run in ("a", "b")]
    for seed, path in enumerate(paths):
        save_checkpoint(path, make_checkpoint(seed))
    return [str(path) for path in paths]


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(main, ["eval", "--dataset", "h36m", *map(str, args)])


def test_eval(weights: list[str], asked: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(
        *("--weights", weights[0], "--data", tmp_path, "--keypoints", "gt", "--device", "cpu"),
        *("--json", out / "e.json", "--csv", out / "e.csv", "--plots", out / "plots"),
        *("--joints", "16", "--show", "sequence", "--action", "Sitting"),
    )
    assert result.exit_code == 0, result.output
    assert asked == {
        "name": "h36m",
        "folder": tmp_path,
        "keypoints": "gt",
        "test_subjects": None,
        "actions": None,
        "train_subjects": (),
    }
    assert "Measuring best on h36m. Device: cpu (as given)." in result.output
    assert "16 joints (without Hip)" in result.output
    assert "S9/Sitting 2/1" in result.output
    assert "mean of actions" not in result.output.split("Written")[0]  # --show sequence alone
    content = json.loads((out / "e.json").read_text())
    assert [e["flip"] for e in content["evaluations"]] == [True, False]
    assert len(list((out / "plots").glob("*.png"))) == 4
    assert (out / "e.csv").exists()


@pytest.mark.parametrize(
    "form",
    [
        ("--compare", "A", "B"),
        ("--compare", "A", "--compare", "B"),
        ("--weights", "A", "--weights", "B"),
        ("--weights", "A", "--compare", "B"),
    ],
    ids=" ".join,
)
def test_ways_to_give_several_weights(
    weights: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = {"A": weights[0], "B": weights[1]}
    result = run(*(paths.get(word, word) for word in form), "--no-flip")
    assert result.exit_code == 0, result.output
    assert "Measuring a/best, b/best on h36m." in result.output
    lines = result.output.split("by checkpoint")[1].splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["a/best", "b/best"]
    assert (tmp_path / "outputs" / "eval" / "joints.png").exists()
    assert "without flip" in result.output
    assert "with flip" not in result.output


def test_published_figures_are_printed_once(weights: list[str]) -> None:
    said: list[Event] = []
    compare(weights, h36m_like, device="cpu", report=said.append)
    assert "\n".join(map(str, said)).count("published by") == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--compare", "A"), "--compare needs two weights or more"),
        (("--compare", "A", "A"), "is given twice"),
        (("--weights", "A", "--action", "Flying"), "have Directions, Sitting, WalkDog, Walking"),
        (("--weights", "other"), "is for 15 joints of humaneva15, but h36m has 17 of h36m17"),
    ],
)
def test_bad_options_are_usage_errors(
    weights: list[str], tmp_path: Path, args: tuple[str, ...], message: str
) -> None:
    other = tmp_path / "other.safetensors"
    save_checkpoint(other, make_checkpoint(skeleton=HUMANEVA15))
    paths = {"A": weights[0], "other": other}
    result = run(*(str(paths.get(word, word)) for word in args))
    assert result.exit_code == 2, result.output
    assert message in result.output


def test_outputs_are_checked_first(
    weights: list[str], tmp_path: Path, asked: dict[str, Any]
) -> None:
    (tmp_path / "file").touch()
    for option in ("--json", "--csv", "--plots"):
        result = run("--weights", weights[0], option, tmp_path / "file" / "x")
        assert result.exit_code == 1
        assert "cannot be written" in result.output
    assert not asked


def test_files_of_others_are_not_overwritten(
    weights: list[str], tmp_path: Path, asked: dict[str, Any]
) -> None:
    (tmp_path / "file").write_text("mine")
    for option in ("--json", "--csv"):
        result = run("--weights", weights[0], option, tmp_path / "file")
        assert result.exit_code == 2
        assert f"was not written by vidpose; choose another {option}" in result.output
    both = ("--csv", tmp_path / "x", "--json", tmp_path / "x")
    assert "give two names" in run("--weights", weights[0], *both).output
    assert (tmp_path / "file").read_text() == "mine"
    assert not asked


def test_too_many_weights_for_a_plot(tmp_path: Path, asked: dict[str, Any]) -> None:
    paths = [tmp_path / f"{i}.safetensors" for i in range(8)]
    for path in paths:
        save_checkpoint(path, make_checkpoint())
    result = run("--compare", *paths)
    assert result.exit_code == 2
    assert "8 weights are too many" in result.output
    assert not asked


def test_weights_that_do_not_exist(asked: dict[str, Any]) -> None:
    with pytest.raises(VidposeError, match="nonsense does not exist"):
        compare(["nonsense"], h36m_like)
    with pytest.raises(UsageError, match="--joints 15"):
        compare(["default"], h36m_like, joints=15)
