import csv
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.bvh_files import write_mocap
from vidpose import train
from vidpose.errors import DataError, UsageError, VidposeError
from vidpose.models import load_checkpoint
from vidpose.train import Recipe, train_mocap

TINY = Recipe(
    frames=3,
    embed_dim=8,
    depth=1,
    held_out=("02",),
    epochs=2,
    windows=64,
    batch=32,
    val_windows=32,
    lr=2e-3,
)


@pytest.fixture
def mocap(tmp_path: Path) -> Path:
    return write_mocap(tmp_path / "mocap", ("01", "02"))


def test_learns_and_leaves_a_usable_checkpoint(mocap: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    recipe = replace(TINY, epochs=3, windows=32 * 60)
    best = train_mocap(mocap, tmp_path / "run", recipe, report=lines.append)
    with open(tmp_path / "run" / "log.csv") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["train_mpjpe_mm"]) < 0.7 * float(rows[0]["train_mpjpe_mm"])
    assert len(lines) == 3
    checkpoint = load_checkpoint(best)
    assert checkpoint.model.config.frames == 3
    assert (checkpoint.normalisation, checkpoint.fps) == ("person", 30.0)
    errors = checkpoint.training["held_out_errors"]
    assert errors["noisy"]["mpjpe_mm"] == pytest.approx(
        min(float(row["noisy_mpjpe_mm"]) for row in rows), abs=1e-6
    )
    assert errors["clean"]["p_mpjpe_mm"] < errors["clean"]["mpjpe_mm"]


def test_resumed_equals_uninterrupted(mocap: Path, tmp_path: Path) -> None:
    whole = train_mocap(mocap, tmp_path / "a", TINY)
    with pytest.raises(KeyboardInterrupt):
        train_mocap(mocap, tmp_path / "b", TINY, report=_interrupt)
    resumed = train_mocap(mocap, tmp_path / "b", TINY, resume=True)
    states = [torch.load(p.parent / "state.pt", weights_only=True) for p in (whole, resumed)]
    for name, tensor in states[0]["model"].items():
        assert torch.equal(tensor, states[1]["model"][name]), name
    assert load_file(whole).keys() == load_file(resumed).keys()
    assert (tmp_path / "a" / "log.csv").read_text() == (tmp_path / "b" / "log.csv").read_text()


def _interrupt(line: str) -> None:
    raise KeyboardInterrupt


def test_a_run_is_not_overwritten_and_not_mixed(mocap: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run to resume"):
        train_mocap(mocap, tmp_path / "run", TINY, resume=True)
    train_mocap(mocap, tmp_path / "run", replace(TINY, epochs=1))
    with pytest.raises(UsageError, match="holds a run already"):
        train_mocap(mocap, tmp_path / "run", TINY)
    with pytest.raises(UsageError, match=r"other options \(batch\)"):
        train_mocap(mocap, tmp_path / "run", replace(TINY, batch=16), resume=True)
    train_mocap(mocap, tmp_path / "run", TINY, resume=True)  # longer is allowed


def test_held_out_subjects_are_checked(mocap: Path, tmp_path: Path) -> None:
    for held_out in (("07",), ("01", "02"), ("02", "07"), ()):
        with pytest.raises(DataError, match="has subjects 01, 02; it cannot leave out"):
            train_mocap(mocap, tmp_path / "run", replace(TINY, held_out=held_out))


def test_a_loss_that_is_no_number_stops_and_keeps_the_best(
    mocap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = train_mocap(mocap, tmp_path / "run", replace(TINY, epochs=1))
    before = best.read_bytes()
    monkeypatch.setattr(train, "in_turned_frame", lambda target, rotation: target * math.nan)
    monkeypatch.setattr(train, "validation_windows", lambda *_: {})
    with pytest.raises(VidposeError, match="no longer a number in epoch 2"):
        train_mocap(mocap, tmp_path / "run", TINY, resume=True)
    assert best.read_bytes() == before


def test_a_damaged_state_is_told(mocap: Path, tmp_path: Path) -> None:
    train_mocap(mocap, tmp_path / "run", replace(TINY, epochs=1))
    state = tmp_path / "run" / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(VidposeError, match="cannot be read; start a new run"):
        train_mocap(mocap, tmp_path / "run", TINY, resume=True)


def test_learning_rate_rises_then_falls() -> None:
    recipe = replace(TINY, epochs=10, windows=320, batch=32, warmup=0.1, lr=1.0)
    rates = [recipe.lr_at(step) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * i for i in range(1, 11)])
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert rates[-1] < 1e-3


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"frames": 4}, {"batch": 0}])
def test_impossible_recipes_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        replace(TINY, **wrong)
