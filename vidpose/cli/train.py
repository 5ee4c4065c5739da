"""`vidpose train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vidpose.cli.common import (
    DATA,
    DEVICE,
    FILE,
    TEST_SUBJECTS,
    _names,
    _usual_data,
    say,
)


@click.command()
@click.option(
    "--dataset",
    type=click.Choice(["h36m", "mpi_inf_3dhp", "humaneva", "mocap", "synthetic", "custom"]),
    required=True,
    help="mocap: a folder of BVH motion capture seen by random virtual cameras; synthetic: made "
    "on the spot.",
)
@DATA
@click.option(
    "--out", type=FILE, default=Path("outputs/train"), show_default=True, help="The run's folder."
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@click.option(
    "--recipe",
    "recipe_name",
    type=click.Choice(["paper", "official", "vidpose"]),
    help="How to learn: as the paper says, as the official code's README says, or as our own "
    "weights. [default: paper; for mocap vidpose]",
)
@click.option("--keypoints", metavar="NAME", help="Where the dataset's 2D joints come from.")
@click.option(
    "--model", metavar="NAME", help="The network. [default: poseformer; for mocap sequence]"
)
@click.option("--frames", type=int, help="Frames in a window, odd. [default: 81, or the recipe's]")
@click.option("--embed-dim", type=int, help="Width of one joint's embedding. [default: 32]")
@click.option("--depth", type=int, help="Blocks in each stage. [default: 4]")
@click.option(
    "--stride",
    type=int,
    help="For the network sequence: frames from one window to the next, when it slides. "
    "[default: 4]",
)
@click.option("--epochs", type=int)
@click.option("--batch", type=int, help="Windows in a step, over all processes together.")
@click.option(
    "--accumulate", type=int, help="Parts in which a step is computed, to save memory. [default: 1]"
)
@click.option(
    "--optimizer",
    type=click.Choice(["adamw", "muon"]),
    help="muon: that for the matrices of a transformer's blocks, AdamW for the rest. "
    "[default: adamw; for mocap muon]",
)
@click.option("--lr", type=float, help="Learning rate at its highest.")
@click.option(
    "--velocity",
    type=float,
    help="For networks that answer for all frames of a window: how much the error of the joints' "
    "velocities counts. [default: 0; for mocap 3]",
)
@click.option(
    "--procrustes",
    type=float,
    help="How much the error counts that is left once each pose is moved, turned and scaled to "
    "fit. [default: 0; for mocap 1]",
)
@click.option(
    "--singles",
    is_flag=True,
    help="For mocap and the network sequence: learn from single frames, and leave what is known of "
    "other frames as it is.",
)
@click.option(
    "--ema",
    type=float,
    help="Measure and keep a moving average of the weights, of which this part stays at every "
    "step. [default: 0, none; for mocap 0.999]",
)
@click.option("--windows", type=int, help="Windows drawn for an epoch, for mocap.")
@TEST_SUBJECTS
@click.option(
    "--train-subjects", callback=_names, metavar="NAME,...", help="Whom to train on, likewise."
)
@click.option(
    "--actions", callback=_names, metavar="NAME,...", help="Only these groups of actions."
)
@click.option(
    "--select-on",
    type=click.Choice(["validation", "test"]),
    help="What chooses the best weights: takes of the training subjects that are set aside, or "
    "the test subjects, as the official code does. [default: validation]",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "bf16", "fp32"]),
    help="auto: bf16 where the hardware computes in it.",
)
@click.option(
    "--init-from",
    metavar="NAME|PATH",
    help="Fine-tune: begin with these weights, also of another skeleton or number of frames.",
)
@click.option("--on-host", is_flag=True, help="For datasets larger than the GPU's memory.")
@click.option("--seed", type=int)
@DEVICE
def train(
    dataset: str,
    data: Path | None,
    out: Path,
    resume: bool,
    recipe_name: str | None,
    keypoints: str | None,
    test_subjects: tuple[str, ...] | None,
    train_subjects: tuple[str, ...] | None,
    actions: tuple[str, ...] | None,
    init_from: str | None,
    on_host: bool,
    device: str,
    **sizes: Any,
) -> None:
    """Train PoseFormer, or another lifting network.

    The run's folder gets log.csv, a line per epoch, and its picture; best.safetensors, the weights
    with the least validation error, and last.safetensors, the newest; and state.pt, from which
    --resume goes on. Ctrl-C saves the run. On several GPUs or machines:

        torchrun --nproc-per-node 2 -m vidpose train ...
    """
    from vidpose.training.distributed import join_world
    from vidpose.training.loop import run
    from vidpose.utils.progress import bar

    with join_world(device) as world:
        best = run(
            dataset,
            data or _usual_data(dataset),
            out,
            world,
            recipe=recipe_name,
            keypoints=keypoints,
            test_subjects=test_subjects,
            train_subjects=train_subjects,
            actions=actions,
            init_from=init_from,
            on_host=on_host,
            resume=resume,
            report=say,
            progress=bar("steps"),
            **{name: value for name, value in sizes.items() if value is not None},
        )
        if world.is_first:
            click.echo(f"Best weights: {best}")
