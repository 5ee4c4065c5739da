"""Training recipes: network sizes and training settings, with named recipes per dataset."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from vidpose.errors import UsageError
from vidpose.options import Options, option
from vidpose.training.options import DATA, LEARNING, NETWORK, RUN


@dataclass(frozen=True, kw_only=True)
class Recipe(Options):
    """All settings that determine the result of a run; stored in its checkpoints.

    The defaults are the paper's for Human3.6M (section 4.2): see docs/training.md. Each `option`
    is also an option of `vidpose train`.

    Raises:
        UsageError: a value is invalid.
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
        32,
        "Width of one joint's embedding; for transformers a multiple of 8.",
        NETWORK,
        minimum=1,
        maximum=65_536,
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
    joint_positions: bool = option(True, "Learned positional embedding of joints.", NETWORK)
    frame_positions: bool = option(True, "Learned positional embedding of frames.", NETWORK)
    stride: int = option(
        4,
        "For the network sequence: frames from one window to the next in inference.",
        NETWORK,
        minimum=1,
    )
    drop_path: float = option(
        0.1, "Stochastic depth: drop rate of the last block.", NETWORK, minimum=0
    )
    normalisation: str = option(
        "screen",
        "Normalisation of the 2D joints. screen: image coordinates; person-2: rotate the camera "
        "towards the person and scale them to a fixed size; person: its first version, for runs "
        "that started with it.",
        DATA,
        choices=("screen", "person-2", "person"),
    )
    epochs: int = option(
        130,
        "Passes over the data, or over --windows.",
        LEARNING,
        default_text="130; for mocap 10, for humaneva 1000",
        minimum=1,
        common=True,
    )
    batch: int = option(
        1024,
        "Windows in a step, over all processes together.",
        LEARNING,
        default_text="1024; for mocap 32, for humaneva 128",
        minimum=1,
        common=True,
    )
    accumulate: int = option(
        1,
        "Gradient accumulation: parts in which a process computes its share of a batch.",
        LEARNING,
        minimum=1,
    )
    optimizer: str = option(
        "adamw",
        "muon: Muon for the matrices in transformer blocks, AdamW for the rest.",
        LEARNING,
        choices=("adamw", "muon"),
    )
    lr: float = option(2e-4, "Highest learning rate.", LEARNING, common=True)
    schedule: str = option(
        "exponential",
        "exponential: multiplied by --lr-decay after every epoch; cosine: linear warm-up, then "
        "cosine decay.",
        LEARNING,
        choices=("exponential", "cosine"),
    )
    lr_decay: float = option(
        0.98, "See --schedule.", LEARNING, default_text="0.98; for humaneva 0.996"
    )
    warmup: float = option(
        0.02, "Cosine schedule: warm-up, as a fraction of the run.", LEARNING, minimum=0
    )
    weight_decay: float = option(0.1, "Weight decay.", LEARNING, minimum=0)
    velocity: float = option(
        0.0,
        "Loss weight of the joints' velocity error (metres per frame), against jitter; for "
        "networks that predict all frames of a window.",
        LEARNING,
        minimum=0,
    )
    procrustes: float = option(
        0.0,
        "Loss weight of the error after Procrustes alignment.",
        LEARNING,
        minimum=0,
    )
    ema: float = option(
        0.0,
        "Decay of the exponential moving average of the weights, which is validated and saved; 0: "
        "no average.",
        LEARNING,
        minimum=0,
    )
    mirror: bool = option(
        True, "Add the mirror image of every window to the epoch; not for mocap.", DATA
    )
    val_fraction: float = option(
        0.05, "Fraction of the training subjects' takes to use for validation.", DATA
    )
    select_on: str = option(
        "validation",
        "Data to choose the best weights on: validation takes of the training subjects, or the "
        "test subjects, as in the official code.",
        LEARNING,
        choices=("validation", "test"),
    )
    precision: str = option(
        "auto",
        "auto: bf16 where the hardware supports it.",
        RUN,
        choices=("auto", "bf16", "fp32"),
    )
    compile: bool = option(
        False,
        "Compile a transformer's blocks with torch.compile: some 20 to 60 s at the start, then "
        "shorter steps in long runs. Needs a C++ compiler.",
        RUN,
    )
    seed: int = option(0, "Random seed.", RUN, minimum=0, maximum=2**32 - 1)

    fps: float = option(30.0, "For mocap: frame rate of the windows.", DATA)
    windows: int = option(16_384, "For mocap: windows per epoch.", DATA, minimum=1)
    more_share: float = option(
        0.3, "For mocap: the share of the windows that come from --more-data.", DATA, minimum=0
    )
    even_subjects: bool = option(
        False,
        "For mocap: draw all training subjects of a folder equally often, rather than in "
        "proportion to the length of their recordings.",
        DATA,
    )
    mixed: float = option(
        0.6,
        "For mocap: share of windows that combine trunk, arms and legs of several motions, which "
        "gives far more poses than were captured. Less of it at the end of training brings the "
        "poses closer to real motion.",
        DATA,
        minimum=0,
        maximum=1,
    )
    single_frame: bool = option(
        False,
        "For mocap and the network sequence: train on single frames instead of windows. A window's "
        "frames are much alike; single frames show as many people and cameras. Temporal attention "
        "and positions are not trained.",
        LEARNING,
    )
    val_windows: int = option(2048, "For mocap: validation windows.", DATA, minimum=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frames < 1 or self.frames % 2 == 0:
            raise UsageError(
                f"--frames {self.frames}: give an odd number, so that a window has a centre frame."
            )
        if not 0 < self.val_fraction < 1:
            raise UsageError(
                f"--val-fraction {self.val_fraction:g}: give a number above 0 and below 1."
            )
        if not 0 < self.lr < math.inf:
            raise UsageError(f"--lr {self.lr:g}: give a number above 0.")
        if not 0 < self.lr_decay <= 1:
            raise UsageError(f"--lr-decay {self.lr_decay:g}: give a number above 0, up to 1.")
        if not 0 < self.fps < math.inf:
            raise UsageError(f"--fps {self.fps:g}: give a number above 0.")
        if self.more_share >= 1:
            raise UsageError(f"--more-share {self.more_share:g}: give a number below 1.")
        if self.ema >= 1:
            raise UsageError(f"--ema {self.ema:g}: give a number below 1.")


PAPER = Recipe()
OFFICIAL = replace(PAPER, name="official", batch=512, epochs=200, lr_decay=0.99)
"""The official repository's commands; lr is 4e-5 for CPN's 2D joints, 4e-4 for the true ones."""
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
"""The last stage of `default`, which starts from single-frame training: see its model card."""


def recipe_for(dataset: str, name: str | None = None, keypoints: str | None = None) -> Recipe:
    """Return a named recipe for a dataset, by default the dataset's own.

    Args:
        dataset: h36m, mpi_inf_3dhp, humaneva, synthetic, custom or mocap.
        name: paper, official or vidpose.
        keypoints: source of the 2D joints, on which the official recipe depends; by default the
            dataset's.

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
        raise UsageError(f"there is no recipe {name!r}; choose {', '.join(recipes)}.")
    recipe = replace(recipes[name], normalisation="person-2" if mocap else "screen")
    if name != "vidpose" and dataset == "humaneva":
        # 43 frames are the paper's; batch, epochs and decay are VideoPose3D's for this dataset,
        # because the paper gives none.
        return replace(recipe, frames=43, batch=128, epochs=1000, lr_decay=0.996)
    if name != "vidpose" and dataset == "mpi_inf_3dhp":
        return replace(recipe, frames=9)
    return recipe
