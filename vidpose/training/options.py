"""What a training run works on, where and with which start; how it learns is its `Recipe`.

Like the recipe, this is read by the command line before PyTorch is imported.
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
    """What a run needs besides its recipe.

    Raises:
        UsageError: a value is none of the choices.
    """

    dataset: str = option(
        MISSING,
        "mocap: a folder of motion capture, BVH or .npz, seen by random virtual cameras; "
        "synthetic: made on the spot.",
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
        "For mocap: a second folder of motion capture, of which --more-share of the windows come.",
        DATA,
        metavar="DIR",
        parse=Path,
    )
    out: Path = option(
        Path("outputs/train"), "The run's folder.", RUN, metavar="DIR", parse=Path, common=True
    )
    resume: bool = option(False, "Go on with the run in --out.", RUN, common=True)
    recipe: str | None = option(
        None,
        "How to learn: as the paper says, as the official code's README says, or as our own "
        "weights.",
        LEARNING,
        default_text="paper; for mocap vidpose",
        choices=("paper", "official", "vidpose"),
        common=True,
    )
    keypoints: str | None = option(
        None, "Where the dataset's 2D joints come from.", DATA, metavar="NAME"
    )
    test_subjects: tuple[str, ...] | None = option(
        None,
        "Whom to test on, and not to train on.",
        DATA,
        default_text="as the field does; for mocap 02,10,12",
        metavar="NAME,...",
        parse=parse_names,
    )
    val_subjects: tuple[str, ...] | None = option(
        None,
        "For mocap: people that choose the best weights and are not trained on, in place of takes "
        "of the people who are trained on.",
        DATA,
        metavar="NAME,...",
        parse=parse_names,
    )
    train_subjects: tuple[str, ...] | None = option(
        None, "Whom to train on, likewise.", DATA, metavar="NAME,...", parse=parse_names
    )
    actions: tuple[str, ...] | None = option(
        None, "Only these groups of actions.", DATA, metavar="NAME,...", parse=parse_names
    )
    on_host: bool = option(False, "For datasets larger than the GPU's memory.", DATA)
    init_from: str | Path | None = option(
        None,
        "Fine-tune: begin with these weights, also of another skeleton or number of frames.",
        NETWORK,
        metavar="NAME|PATH",
    )
    device: str = option(
        "auto",
        "Where networks compute; auto takes a GPU if there is one.",
        RUN,
        choices=("auto", "cpu", "cuda"),
        common=True,
    )

    @property
    def folder(self) -> Path:
        """Where the dataset is."""
        return self.data or Path("data/synthetic" if self.dataset == "synthetic" else "data")
