"""What a training run is: the network's sizes and how it learns. Named recipes per dataset."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from vidpose.errors import UsageError
from vidpose.options import Options, option
from vidpose.training.options import DATA, LEARNING, NETWORK, RUN


@dataclass(frozen=True, kw_only=True)
class Recipe(Options):
    """Everything that decides what a run learns; stored in its checkpoints.

    The defaults are the paper's for Human3.6M (section 4.2): see docs/training.md. A field that is
    an `option` is one of `vidpose train`, too.

    Raises:
        UsageError: a value makes no sense.
    """

    name: str = "paper"
    model: str = option(
        "poseformer",
        "The network: poseformer, sequence, temporal, joints, martinez or videopose.",
        NETWORK,
        metavar="NAME",
    )
    frames: int = option(
        81,
        "Frames in a window, odd.",
        NETWORK,
        default_text="81; for humaneva 43, for mpi_inf_3dhp 9",
        common=True,
        maximum=100_001,
    )
    embed_dim: int = option(
        32, "Width of one joint's embedding.", NETWORK, minimum=1, maximum=65_536
    )
    depth: int = option(4, "Blocks in each stage.", NETWORK, minimum=1, maximum=1000)
    temporal_depth: int | None = option(
        None,
        "Temporal blocks, for poseformer and sequence.",
        NETWORK,
        default_text="as many as --depth",
        kind=int,
        minimum=1,
        maximum=1000,
    )
    joint_positions: bool = option(True, "Tell joints apart by a learned embedding.", NETWORK)
    frame_positions: bool = option(True, "Tell frames apart by a learned embedding.", NETWORK)
    stride: int = option(
        4,
        "For the network sequence: frames from one window to the next, when it slides.",
        NETWORK,
        minimum=1,
    )
    drop_path: float = option(0.1, "Stochastic depth of the last block.", NETWORK, minimum=0)
    normalisation: str = option(
        "screen",
        "How 2D joints become the network's input. screen: their place in the picture; person-2: "
        "the person as a camera turned towards them would see them, at one size; person: the "
        "first version of it, for runs that began with it.",
        DATA,
        choices=("screen", "person-2", "person"),
    )
    epochs: int = option(
        130, "How often the data, or --windows of it, are seen.", LEARNING, minimum=1, common=True
    )
    batch: int = option(
        1024, "Windows in a step, over all processes together.", LEARNING, minimum=1, common=True
    )
    accumulate: int = option(
        1,
        "Parts in which a process computes its share of a step, to save memory.",
        LEARNING,
        minimum=1,
    )
    optimizer: str = option(
        "adamw",
        "muon: that for the matrices of a transformer's blocks, AdamW for the rest.",
        LEARNING,
        choices=("adamw", "muon"),
    )
    lr: float = option(2e-4, "Learning rate at its highest.", LEARNING, common=True)
    schedule: str = option(
        "exponential",
        "exponential: times --lr-decay after every epoch; cosine: a short rise, then half a "
        "cosine.",
        LEARNING,
        choices=("exponential", "cosine"),
    )
    lr_decay: float = option(0.98, "See --schedule.", LEARNING)
    warmup: float = option(
        0.02, "Share of the run in which a cosine schedule rises.", LEARNING, minimum=0
    )
    weight_decay: float = option(0.1, "Pull of all weights towards 0.", LEARNING, minimum=0)
    velocity: float = option(
        0.0,
        "For networks that answer for all frames of a window: how much the error of the joints' "
        "velocities (metres a frame) counts, against jitter.",
        LEARNING,
        minimum=0,
    )
    procrustes: float = option(
        0.0,
        "How much the error counts that is left once each pose is moved, turned and scaled to fit.",
        LEARNING,
        minimum=0,
    )
    ema: float = option(
        0.0,
        "Measure and keep a moving average of the weights, of which this part stays at every step; "
        "0: the weights themselves.",
        LEARNING,
        minimum=0,
    )
    mirror: bool = option(
        True, "Learn from the mirror images, too: every window comes twice in an epoch.", DATA
    )
    val_fraction: float = option(
        0.05, "Of the training subjects' takes, set aside to choose the best weights.", DATA
    )
    select_on: str = option(
        "validation",
        "What chooses the best weights: takes of the training subjects that are set aside, or the "
        "test subjects, as the official code does.",
        LEARNING,
        choices=("validation", "test"),
    )
    precision: str = option(
        "auto",
        "auto: bf16 where the hardware computes in it.",
        RUN,
        choices=("auto", "bf16", "fp32"),
    )
    compile: bool = option(
        False,
        "Compile a transformer's blocks with torch.compile: some 20 to 60 s at the start, then "
        "shorter steps in long runs. Needs a C++ compiler.",
        RUN,
    )
    seed: int = option(
        0, "Decides everything that is drawn at random.", RUN, minimum=0, maximum=2**32 - 1
    )

    fps: float = option(30.0, "For mocap: frames a second of the windows.", DATA)
    windows: int = option(16_384, "For mocap: windows drawn for an epoch.", DATA, minimum=1)
    more_share: float = option(
        0.3, "For mocap: the share of the windows that come from --more-data.", DATA, minimum=0
    )
    mixed: float = option(
        0.6,
        "For mocap: the share of the windows in which people get trunk, arms and legs of several "
        "motions. That is far more poses than were captured; less of it at the end of a training "
        "brings back how people really move.",
        DATA,
        minimum=0,
        maximum=1,
    )
    single_frame: bool = option(
        False,
        "For mocap and the network sequence: learn from single frames in place of windows. A "
        "window's frames are much alike, single ones are as many people and cameras. What the "
        "network knows of other frames stays as it is.",
        LEARNING,
    )
    val_windows: int = option(2048, "For mocap: windows that are validated on.", DATA, minimum=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frames < 1 or self.frames % 2 == 0:
            raise UsageError(f"frames must be odd, for a window has a centre; not {self.frames}.")
        if not 0 < self.val_fraction < 1:
            raise UsageError(f"val_fraction lies between 0 and 1, not at {self.val_fraction:g}.")
        if not (0 < self.lr < math.inf and 0 < self.lr_decay <= 1 and 0 < self.fps < math.inf):
            raise UsageError("lr and fps must be positive, and lr_decay above 0 and at most 1.")
        if self.more_share >= 1:
            raise UsageError(f"more_share lies from 0 to below 1, not at {self.more_share:g}.")
        if self.ema >= 1:
            raise UsageError(f"ema lies from 0 to below 1, not at {self.ema:g}.")


PAPER = Recipe()
OFFICIAL = replace(PAPER, name="official", batch=512, epochs=200, lr_decay=0.99)
"""The official repository's commands, by input: 4e-5 on CPN's 2D joints, 4e-4 on true ones."""
MOCAP = Recipe(
    name="vidpose",
    model="sequence",
    drop_path=0.0,
    normalisation="person-2",
    epochs=10,
    batch=32,
    optimizer="muon",
    lr=8e-4,
    schedule="cosine",
    weight_decay=0.05,
    velocity=3.0,
    procrustes=1.0,
    ema=0.999,
    windows=4096,
    val_windows=256,
)
"""The last stage of `default`, which begins with weights that saw single frames: see its card."""


def recipe_for(dataset: str, name: str | None = None, keypoints: str | None = None) -> Recipe:
    """The named recipe for a dataset; by default its own.

    Args:
        dataset: h36m, mpi_inf_3dhp, humaneva, synthetic, custom or mocap.
        name: paper, official or vidpose.
        keypoints: where the 2D joints come from, by default the dataset's; the official
            repository's recipe depends on it.

    Raises:
        UsageError: there is no such recipe.
    """
    from vidpose.datasets import DEFAULT_KEYPOINTS  # not for --help: it imports PyTorch

    if dataset not in DEFAULT_KEYPOINTS:
        raise UsageError(f"there is no dataset {dataset!r}; choose {', '.join(DEFAULT_KEYPOINTS)}.")
    keypoints = keypoints or DEFAULT_KEYPOINTS[dataset]
    mocap = dataset == "mocap"
    name = name or ("vidpose" if mocap else "paper")
    official = replace(OFFICIAL, lr=4e-4 if keypoints == "gt" else 4e-5)
    recipes = {"paper": PAPER, "official": official, "vidpose": MOCAP}
    if name not in recipes:
        raise UsageError(f"There is no recipe {name!r}; there are {', '.join(recipes)}.")
    recipe = replace(recipes[name], normalisation="person-2" if mocap else "screen")
    if name != "vidpose" and dataset == "humaneva":
        # 43 frames are the paper's; batch, epochs and decay are VideoPose3D's for this set, for
        # the paper gives none.
        return replace(recipe, frames=43, batch=128, epochs=1000, lr_decay=0.996)
    if name != "vidpose" and dataset == "mpi_inf_3dhp":
        return replace(recipe, frames=9)
    return recipe
