from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.bvh_files import write_mocap
from tests.training_data import tiny_dataset
from vidpose.datasets.mocap import mocap_dataset
from vidpose.datasets.motion_clips import read_folder
from vidpose.errors import DataError
from vidpose.evaluation.evaluate import evaluate
from vidpose.events import Event, Report, ignore
from vidpose.models import load_checkpoint
from vidpose.paper import runs
from vidpose.paper.datasets import ExperimentData
from vidpose.paper.runs import (
    Budget,
    FirstSamples,
    Run,
    complete,
    downsampled,
    mean_and_spread,
    training_data,
)
from vidpose.paper.workspace import Workspace
from vidpose.training.batches import FixedWindows, Shuffled
from vidpose.training.distributed import World
from vidpose.training.loop import train
from vidpose.training.recipe import Recipe
from vidpose.utils.progress import silent

CPU = torch.device("cpu")
BUDGET = Budget(windows=48, fraction=None, test_frames=20)
RECIPE = Recipe(frames=3, embed_dim=8, depth=1, epochs=2, batch=16, lr=1e-3, val_fraction=0.3)


def experiment_data() -> ExperimentData:
    dataset = replace(tiny_dataset(), name="h36m")
    return ExperimentData(
        dataset=dataset, replaces="h36m", is_public=True, description="turning people"
    )


def workspace(out: Path, report: Report = ignore) -> Workspace:
    return Workspace(out=out, data=out, device=CPU, report=report, progress=silent)


def make_run(**changes: Any) -> Run:
    return Run(recipe=replace(RECIPE, **changes), data=experiment_data(), budget=BUDGET)


def test_a_finished_run_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    said: list[Event] = []
    first = complete(run, workspace(tmp_path, said.append))
    assert len(said) == 1
    assert (first.epochs, first.windows, first.seed, first.frames) == (2, 48, 0, 3)
    best = load_checkpoint(run.folder(tmp_path / "runs") / "best.safetensors")
    again = evaluate(best, run.data.shortened(20))[0]
    assert again.scored_frames == 20
    assert first.means["mpjpe_mm"] == pytest.approx(again.value("mpjpe_mm"))
    assert first.columns["Turning"]["p_mpjpe_mm"] == pytest.approx(again.value("p_mpjpe_mm"))

    monkeypatch.setattr(runs, "train", None)  # neither training nor evaluation may run again
    monkeypatch.setattr(runs, "evaluate", None)
    assert complete(run, workspace(tmp_path)) == first


def test_an_interrupted_run_is_resumed(tmp_path: Path) -> None:
    whole = complete(make_run(), workspace(tmp_path / "whole"))
    folder = make_run().folder(tmp_path / "broken" / "runs")
    half = complete(make_run(epochs=1), workspace(tmp_path / "half"))
    folder.parent.mkdir(parents=True)
    make_run(epochs=1).folder(tmp_path / "half" / "runs").rename(folder)
    (folder / "result.json").unlink()
    assert complete(make_run(), workspace(tmp_path / "broken")).means == whole.means
    assert half.means != whole.means


@pytest.mark.parametrize(
    "changes", [{"seed": 1}, {"epochs": 3}, {"model": "temporal"}, {"joint_positions": False}]
)
def test_different_runs_have_different_folders(changes: dict[str, Any], tmp_path: Path) -> None:
    assert make_run(**changes).folder(tmp_path / "runs") != make_run().folder(tmp_path / "runs")
    more = replace(make_run(), budget=replace(BUDGET, windows=64))
    assert more.folder(tmp_path / "runs") != make_run().folder(tmp_path / "runs")


def test_fine_tuning_starts_from_the_other_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = make_run(seed=5)
    begun: list[Any] = []
    real = train

    def watched(*args: Any, **options: Any) -> Path:
        begun.append(options["init"])
        return real(*args, **options)

    monkeypatch.setattr(runs, "train", watched)
    run = replace(make_run(), before=before)
    complete(run, workspace(tmp_path))
    assert begun[0] is None
    assert begun[1].path == before.folder(tmp_path / "runs") / "best.safetensors"
    tuned = load_checkpoint(run.folder(tmp_path / "runs") / "best.safetensors")
    assert tuned.training["began_with"]["sha256"] == begun[1].sha256


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    run = make_run()
    folder = run.folder(tmp_path / "runs")
    folder.mkdir(parents=True)
    for content in ("{", "[]", '{"format": "vidpose-paper-run/1", "means": {}}', '{"format": 1}'):
        (folder / "result.json").write_text(content)
        with pytest.raises(DataError, match=r"result\.json is not a result of `vidpose paper`"):
            complete(run, workspace(tmp_path))


def test_first_samples_of_every_epoch() -> None:
    samples = FixedWindows(torch.arange(100.0)[:, None], torch.arange(100.0)[:, None])
    part, world = FirstSamples(Shuffled(samples, 0), 25), World(CPU, "")
    sizes, seen = [], []
    for epoch in (0, 1):
        for step in range(3):
            inputs, targets, _, whole = part.batch(epoch, step, 10, world)
            assert len(inputs) == len(targets) == whole
            sizes.append(whole)
            seen.append(set(inputs[:, 0].tolist()))
    assert sizes == [10, 10, 5] * 2
    assert len(set.union(*seen[:3])) == 25
    assert set.union(*seen[:3]) != set.union(*seen[3:])  # other windows in the next epoch


def test_validation_is_downsampled_evenly() -> None:
    samples = FixedWindows(torch.arange(100.0)[:, None], torch.arange(100.0)[:, None])
    few = downsampled(samples, 5)
    assert few[torch.arange(5)][0][:, 0].tolist() == [0, 24, 49, 74, 99]
    assert downsampled(samples, 100) is samples


def test_windows_of_a_budget() -> None:
    assert BUDGET.of(1000) == 48
    assert BUDGET.of(10) == 10
    assert Budget(windows=48, fraction=0.25, test_frames=None).of(1000) == 250
    assert Budget(windows=None, fraction=None, test_frames=None).of(1000) == 1000


def test_the_budget_limits_motion_capture(tmp_path: Path) -> None:
    clips = tuple(read_folder(write_mocap(tmp_path, ("01", "02", "03"))))
    for kind, noise in (("noisy", 1.0), ("clean", 0.0)):
        mocap = ExperimentData(
            dataset=mocap_dataset(clips, kind, ("02",)),
            replaces="h36m",
            is_public=False,
            description="",
            clips=clips,
            held_out=("02",),
        )
        recipe = replace(RECIPE, normalisation="person-2", val_windows=8)
        data = training_data(Run(recipe=recipe, data=mocap, budget=BUDGET), CPU)
        assert data.source.samples == 48
        assert data.provenance["variation"]["noise"] == noise
        assert mocap.column(mocap.dataset.test[0]) == "02"


def test_mean_and_spread() -> None:
    assert mean_and_spread([2.0]) == (2.0, None)
    mean, spread = mean_and_spread([1.0, 2.0, 3.0])
    assert (mean, spread) == (2.0, 1.0)
