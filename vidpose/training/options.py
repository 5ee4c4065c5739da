"""Options of a training run besides its `Recipe`: data, output folder, initial weights, device.

Like the recipe, the command line imports this before PyTorch.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from pathlib import Path

from vidpose.options import Options, option

DATA, NETWORK, LEARNING, RUN = "Data", "Network", "Learning", "Run"
"""The headings of `vidpose train --help`."""


def parse_names(text: str) -> tuple[str, ...]:
    """`S1, S5` -> ("S1", "S5")."""
    return tuple(name.strip() for name in text.split(","))


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Options):
    """Options of a run besides its recipe.

    Raises:
        UsageError: a value is not one of its choices.
    """

    dataset: str = option(
        MISSING,
        "mocap: a folder of motion capture, BVH or .npz, seen by random virtual cameras; "
        "synthetic: generated if missing.",
        DATA,
        choices=("h36m", "mpi_inf_3dhp", "humaneva", "mocap", "synthetic", "custom"),
        common=True,
    )
    data: Path | None = option(
        None,
        "Where the dataset is.",
        DATA,
        default_text="data, or data/synthetic",
        metavar="DIR",
        parse=Path,
        common=True,
    )
    more_data: Path | None = option(
        None,
        "For mocap: a second folder of motion capture; --more-share of the windows come from it.",
        DATA,
        metavar="DIR",
        parse=Path,
    )
    out: Path = option(
        Path("outputs/train"), "The run's folder.", RUN, metavar="DIR", parse=Path, common=True
    )
    resume: bool = option(False, "Continue the run in --out.", RUN, common=True)
    recipe: str | None = option(
        None,
        "Training settings: the paper's, those of the official code's README, or those of "
        "vidpose's own weights.",
        LEARNING,
        default_text="paper; for mocap vidpose",
        choices=("paper", "official", "vidpose"),
        common=True,
    )
    keypoints: str | None = option(
        None, "Where the dataset's 2D joints come from; not for mocap.", DATA, metavar="NAME"
    )
    test_subjects: tuple[str, ...] | None = option(
        None,
        "Held-out subjects, to test on.",
        DATA,
        default_text="the dataset's usual ones; for mocap 02,10,12",
        metavar="NAME,...",
        parse=parse_names,
    )
    val_subjects: tuple[str, ...] | None = option(
        None,
        "For mocap: held-out subjects to choose the best weights on, instead of takes of the "
        "training subjects.",
        DATA,
        metavar="NAME,...",
        parse=parse_names,
    )
    train_subjects: tuple[str, ...] | None = option(
        None, "Training subjects; not for mocap.", DATA, metavar="NAME,...", parse=parse_names
    )
    actions: tuple[str, ...] | None = option(
        None,
        "Only these groups of actions; not for mocap.",
        DATA,
        metavar="NAME,...",
        parse=parse_names,
    )
    on_host: bool = option(
        False,
        "Keep the training windows in files in the run's folder instead of on the GPU, for "
        "datasets larger than its memory; not for mocap.",
        DATA,
    )
    init_from: str | Path | None = option(
        None,
        "Fine-tune these weights, which may have another skeleton or number of frames, or be "
        "narrower by a whole factor (--embed-dim).",
        NETWORK,
        metavar="NAME|PATH",
    )
    device: str = option(
        "auto",
        "Device to train on; auto: a GPU if there is one.",
        RUN,
        choices=("auto", "cpu", "cuda"),
        common=True,
    )

    @property
    def folder(self) -> Path:
        """Where the dataset is."""
        return self.data or Path("data/synthetic" if self.dataset == "synthetic" else "data")
