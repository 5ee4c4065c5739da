import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from tests.bvh_files import write_mocap
from tests.fakes import tiny_weights
from vidpose.cli import main
from vidpose.datasets.synthetic import write_synthetic
from vidpose.errors import UsageError
from vidpose.events import Event
from vidpose.models import MODELS, Checkpoint, flops, load_checkpoint, save_checkpoint
from vidpose.paper import NAMES, options, rerun
from vidpose.paper.options import ExperimentOptions
from vidpose.paper.runs import Budget
from vidpose.paper.tables import EXPERIMENTS, PAPER_SIZE, SMALL, Row
from vidpose.training.learner import build_model


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Reduce experiments to about a second; return a data folder with a synthetic dataset."""
    monkeypatch.setattr(options, "QUICK", Budget(windows=32, fraction=None, test_frames=40))
    monkeypatch.setattr(options, "QUICK_EPOCHS", 1)
    monkeypatch.setattr(options, "QUICK_BATCH", 16)
    monkeypatch.setattr(options, "QUICK_VAL_WINDOWS", 16)
    monkeypatch.setattr(options, "SMALL", {"embed_dim": 8, "depth": 1, "frames": 9})
    data = tmp_path / "data"
    write_synthetic(data / "synthetic", actions=("Walking", "Sitting"), seconds=0.2)
    return data


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_table4_on_the_command_line(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["paper", "table4", "-o", str(out), "--data", str(tiny), "--device", "cpu"]
    arguments += ["--only", "baseline,full"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert "a synthetic dataset in Human3.6M's layout, noisy 2D joints" in done.output
    assert "52.5 unverified" in done.output
    assert "49.9 unverified" in done.output
    assert (
        "The paper, on Human3.6M: 2.6 mm better (unverified). At this budget, on these data, our "
        "result neither confirms nor refutes it." in done.output
    )
    assert "cannot be compared" in done.output
    rows = read(out / "table4.csv")
    assert [(row["row"], row["seed"]) for row in rows] == [
        *(("baseline", "0"), ("baseline", "1"), ("full", "0"), ("full", "1")),
    ]
    means = read(out / "table4_means.csv")
    mine = [float(row["mpjpe_mm"]) for row in rows[:2]]
    assert float(means[0]["mean"]) == pytest.approx(sum(mine) / 2, abs=1e-5)
    assert means[0]["paper"] == "52.5"
    assert means[0]["paper_mark"] == "unverified"
    assert (out / "table4.png").read_bytes()[:4] == b"\x89PNG"

    trained = sorted((out / "runs").iterdir())
    assert len(trained) == 4
    before = [(run / "best.safetensors").stat().st_mtime_ns for run in trained]
    again = CliRunner().invoke(main, arguments)
    assert "Training" not in again.output
    assert [(run / "best.safetensors").stat().st_mtime_ns for run in trained] == before
    assert read(out / "table4.csv") == rows


def test_unrecovered_numbers_are_not_printed(tiny: Path, tmp_path: Path) -> None:
    said: list[Event] = []
    rerun("table4", tmp_path, tiny, device="cpu", report=said.append, only=("none",), seeds=1)
    (text,) = [str(event) for event in said if str(event).startswith("Table 4")]
    (row,) = [
        line for line in text.splitlines() if "no positional" in line and "MPJPE" not in line
    ][:1]
    assert row.endswith("not recovered")
    (mean,) = [r for r in read(tmp_path / "table4_means.csv") if r["metric"] == "mpjpe_mm"]
    assert (mean["paper"], mean["paper_mark"]) == ("", "not recovered")


def test_table1_has_actions_and_the_papers_row(tiny: Path, tmp_path: Path) -> None:
    said: list[Event] = []
    rerun(
        "table1", tmp_path, tiny, device="cpu", report=said.append,
        only=("poseformer", "martinez"), seeds=1,
    )  # fmt: skip
    text = next(str(event) for event in said if str(event).startswith("Table 1"))
    assert "Sitting  Walking" in text
    assert "53.3     31.8" in text  # PoseFormer's own
    assert "44.3 read (f=81)" in text
    assert "VideoPose3D" in text
    assert "Outcome" not in text
    assert [row["frames"] for row in read(tmp_path / "table1.csv")] == ["9", "1"]


def test_weights_are_evaluated_without_training(tiny: Path, tmp_path: Path) -> None:
    weights = tiny_weights(tmp_path / "mine.safetensors")
    said: list[Event] = []
    rerun(
        "table2", tmp_path / "out", tiny, device="cpu", report=said.append, weights=(str(weights),)
    )
    assert not (tmp_path / "out" / "runs").exists()
    (row,) = read(tmp_path / "out" / "table2.csv")
    assert row["label"] == "mine"
    assert row["keypoints"] == "gt"
    assert "layout, true 2D joints" in "\n".join(map(str, said))
    assert "weights as given" in "\n".join(map(str, said))
    with pytest.raises(UsageError, match="evaluated without training; omit --only"):
        rerun("table2", tmp_path, tiny, weights=(str(weights),), epochs=3)


def test_weights_in_table7_are_next_to_the_papers(tiny: Path, tmp_path: Path) -> None:
    write_synthetic(tiny / "synthetic" / "humaneva", "humaneva", seconds=0.6)
    recipe = ExperimentOptions(size="paper").recipe(_HumanEva, 43, Row("x", "x"), 0)  # type: ignore[arg-type]
    model = build_model(replace(recipe, embed_dim=8, depth=1), 15)
    names = {"scratch": {}, "tuned": {"began_with": {"dataset": "h36m"}}}
    files = [tmp_path / f"{name}.safetensors" for name in names]
    for path, training in zip(files, names.values(), strict=True):
        made = Checkpoint(
            model=model, normalisation="screen", fps=60, skeleton="humaneva15", training=training
        )
        save_checkpoint(path, made)
    said: list[Event] = []
    weights = tuple(map(str, files))
    rerun("table7", tmp_path / "out", tiny, device="cpu", report=said.append, weights=weights)
    lines = "\n".join(map(str, said)).splitlines()
    for name, number in (("scratch", "21.6 read"), ("tuned", "20.1 unverified")):
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        assert number in line


def test_table3_names_the_protocol(tiny: Path, tmp_path: Path) -> None:
    write_synthetic(tiny / "synthetic" / "mpi_inf_3dhp", "mpi_inf_3dhp", seconds=0.4)
    said: list[Event] = []
    rerun("table3", tmp_path, tiny, device="cpu", report=said.append, only=("poseformer",), seeds=1)
    text = "\n".join(map(str, said))
    assert "protocol MPI-INF-3DHP" in text
    assert "77.1 read with its own protocol; others, with ours: 57.7 read" in text
    (mean,) = [r for r in read(tmp_path / "table3_means.csv") if r["metric"] == "mpjpe_mm"]
    assert (mean["paper"], mean["paper_mark"]) == ("77.1", "read")
    assert "not this one" in mean["paper_note"]
    assert "the papers' own protocol" in text


def test_table7_fine_tunes(tiny: Path, tmp_path: Path) -> None:
    write_synthetic(tiny / "synthetic" / "humaneva", "humaneva", seconds=0.6)
    said: list[Event] = []
    rerun("table7", tmp_path, tiny, device="cpu", report=said.append, seeds=1)
    text = "\n".join(map(str, said))
    assert "fine-tuned from a synthetic dataset in Human3.6M's layout" in text
    assert "21.6 read" in text
    assert "20.1 unverified" in text
    scratch, tuned = read(tmp_path / "table7.csv")
    for row in (scratch, tuned):
        columns = [float(row[f"p_mpjpe_mm S{s} {a}"]) for a in ("Walk", "Jog") for s in (1, 2, 3)]
        mean = float(row["p_mpjpe_mm of Walk and Jog"])
        assert mean == pytest.approx(sum(columns) / 6, abs=1e-4)
    assert scratch["p_mpjpe_mm"] != tuned["p_mpjpe_mm"]
    assert len(list((tmp_path / "runs").iterdir())) == 3  # including pre-training


def test_table7_pre_trains_on_motion_capture(tiny: Path, tmp_path: Path) -> None:
    write_synthetic(tiny / "humaneva", "humaneva", seconds=0.6)
    mocap = write_mocap(tmp_path / "mocap", ("01", "02", "03", "10", "12"))
    said: list[Event] = []
    how = {"device": "cpu", "report": said.append, "seeds": 1, "only": ("finetuned",)}
    rerun("table7", tmp_path / "out", tiny / "humaneva", mocap=mocap, **how)  # type: ignore[arg-type]
    text = "\n".join(map(str, said))
    assert "fine-tuned from motion capture with virtual cameras" in text
    runs = [load_checkpoint(path) for path in (tmp_path / "out").glob("runs/*/best.safetensors")]
    assert {(run.skeleton, run.fps, run.normalisation) for run in runs} == {
        ("h36m17", 60, "person-2"),
        ("humaneva15", 60, "person-2"),
    }
    # Motion capture cannot replace both HumanEva and the data for pre-training.
    other = tmp_path / "other"
    write_mocap(other / "mocap", ("01", "02", "03", "10", "12"))
    with pytest.raises(UsageError, match="can pre-train on motion capture only if"):
        rerun("table7", tmp_path / "out", other, mocap=mocap, **how)  # type: ignore[arg-type]
    for only in ({"only": ("scratch",)}, {"only": None, "weights": ("default",), "seeds": None}):
        with pytest.raises(UsageError, match="no row is fine-tuned"):
            rerun("table7", tmp_path / "out", tiny / "humaneva", mocap=mocap, **how | only)  # type: ignore[arg-type]


def test_paper_size_on_motion_capture_trains_a_poseformer() -> None:
    chosen = ExperimentOptions(size="paper")
    row = Row("poseformer", "PoseFormer")
    data = SimpleNamespace(clips=("some",), dataset=SimpleNamespace(name="mocap"))
    recipe = chosen.recipe(data, 27, row, 0)  # type: ignore[arg-type]
    assert recipe.model == "poseformer"
    assert (recipe.optimizer, recipe.epochs, recipe.windows) == ("muon", 10, 16_384)


def test_fraction_of_motion_capture_agrees_with_the_docs() -> None:
    """docs/paper.md: 65,536 windows in 512 steps."""
    chosen = ExperimentOptions(epochs=8, fraction=0.5)
    recipe = chosen.recipe(_Clips, 9, Row("full", "x"), 0)  # type: ignore[arg-type]
    windows = chosen.budget.of(recipe.windows)
    assert recipe.epochs * windows == 65_536
    assert recipe.epochs * windows / recipe.batch == 512


@pytest.mark.parametrize("sizes", [SMALL, PAPER_SIZE], ids=["small", "paper"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_row_can_be_built(name: str, sizes: dict[str, Any], tmp_path: Path) -> None:
    experiment = EXPERIMENTS[name]
    rows = experiment.rows(sizes)
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        recipe = ExperimentOptions().recipe(_Stand, 9, row, 0)  # type: ignore[arg-type]
        model = build_model(recipe, 17)
        assert flops.parameters(model) > 0
        assert model.name in MODELS
        assert (recipe.precision == "fp32") == (model.name == "videopose")


class _Stand:
    """A stand-in for the data, with the attributes that `recipe` uses."""

    has_focal_lengths = True
    clips: tuple[str, ...] = ()


class _Clips(_Stand):
    clips = ("some",)


class _HumanEva:
    class dataset:  # noqa: N801
        name = "humaneva"

    clips = ()


def test_parameters_of_table5_agree_with_the_official_code() -> None:
    """Counts derived from the released code's layers, in millions, at f=9."""
    expected = {"16-4-4": 2.41, "32-2-2": 4.80, "32-4-4": 9.56, "32-6-6": 14.33, "32-2-4": 9.55,
                "32-4-2": 4.82, "48-4-4": 21.47}  # fmt: skip
    for row in EXPERIMENTS["table5"].rows(PAPER_SIZE):
        recipe = ExperimentOptions(size="paper").recipe(_Paper, 9, row, 0)  # type: ignore[arg-type]
        count = flops.parameters(build_model(recipe, 17))
        assert count / 1e6 == pytest.approx(expected.pop(row.name), abs=0.006)
    assert not expected


class _Paper:
    class dataset:  # noqa: N801
        name = "h36m"

    clips = ()


def test_paper_size_uses_the_papers_recipe() -> None:
    recipe = ExperimentOptions(size="paper").recipe(_Paper, 81, Row("x", "x"), 3)  # type: ignore[arg-type]
    assert (recipe.frames, recipe.embed_dim, recipe.depth) == (81, 32, 4)
    assert (recipe.epochs, recipe.batch, recipe.lr, recipe.seed) == (130, 1024, 2e-4, 3)
    assert ExperimentOptions(size="paper").budget == Budget(
        windows=None, fraction=None, test_frames=None
    )


def test_any_change_is_not_the_papers_setup() -> None:
    assert ExperimentOptions(size="paper").is_paper_setup
    for changes in ({"size": "small"}, {"epochs": 130}, {"fraction": 0.5}):
        assert not ExperimentOptions(**{"size": "paper"} | changes).is_paper_setup


def test_bad_requests(tmp_path: Path) -> None:
    for arguments, sentence in (
        (["table9"], "table9 is not an experiment; choose one of table1, table2"),
        (["table6", "--epochs", "3"], "table6 has no --epochs; use it with table1, table2"),
        (["table1", "--video", "x.mp4"], "table1 has no --video; use it with figure4, figure5"),
        (["table4", "--only", "huge"], "--only huge: the rows are baseline, full, spatial"),
        (["table4", "--mocap", str(tmp_path / "no")], "holds no <subject>/<clip>.bvh"),
        (["table2", "--weights", "no.safetensors"], "no.safetensors"),
    ):
        done = CliRunner().invoke(
            main, ["paper", *arguments, "-o", str(tmp_path / "o"), "--data", str(tmp_path)]
        )
        assert done.exit_code in (1, 2), done.output
        assert sentence in done.output
        assert "Traceback" not in done.output
    assert len(NAMES) == 11
