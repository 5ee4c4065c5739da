"""`vidpose train` on the command line; `tests/training` tests training itself."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from vidpose.cli import main
from vidpose.options import flag, options_of
from vidpose.training.options import TrainOptions
from vidpose.training.recipe import MOCAP, Recipe

MOCAP_HERE = ("train", "--dataset", "mocap", "--data", ".", "--out", "run")


def test_every_field_is_an_option_under_a_heading() -> None:
    text = CliRunner().invoke(main, ["train", "--help"]).output
    order = [
        text.index(f"\n{heading}:") for heading in ("Most used", "Data", "Network", "Learning")
    ]
    assert order == sorted(order)
    for cls in (TrainOptions, Recipe):
        for name in options_of(cls):
            assert f"  {flag(name)} " in text, name
    assert {field.name for field in fields(Recipe)} - options_of(Recipe).keys() == {"name"}
    assert "--singles" not in text
    words = " ".join(text.split())
    assert f"[default: 130; for mocap {MOCAP.epochs}, for humaneva 1000]" in words
    assert f"[default: 0.0002; for mocap {MOCAP.lr:g}]" in words
    assert "[default: 0.02]" in words


def test_help_does_not_import_pytorch() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from vidpose.cli import main; "
        "assert CliRunner().invoke(main, ['train', '--help']).exit_code == 0; "
        "print([m for m in ('torch', 'numpy', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--keypoints", "clean"), "--keypoints has no effect on motion capture"),
        (("--on-host",), "--on-host has no effect on motion capture"),
        (("--batch", "0"), "--batch 0: give 1 or more"),
        (("--single-frame",), "give --init-from weights"),
        (("--singles",), "give --init-from weights"),
        (("--model", "resnet"), "--model resnet: choose poseformer, sequence"),
        (("--frames", "8"), "--frames 8: give an odd number"),
    ],
)
def test_mistakes_are_a_sentence(
    given: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [*MOCAP_HERE, *given])
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_dataset_has_to_be_named() -> None:
    result = CliRunner().invoke(main, ["train"])
    assert result.exit_code == 2
    assert "Missing option '--dataset'" in result.stderr
