"""The options of `vidpose paper`, and the runs and recipes that follow from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vidpose.errors import UsageError
from vidpose.paper.datasets import ExperimentData
from vidpose.paper.runs import QUICK_VAL_WINDOWS, Budget, Run
from vidpose.paper.tables import PAPER_SIZE, SMALL, Experiment, Row
from vidpose.training.recipe import Recipe, recipe_for

SEEDS = 2
QUICK = Budget(windows=4096, fraction=None, test_frames=4000)
"""The default budget: well under a minute per run on two cores."""
QUICK_EPOCHS = 4
QUICK_BATCH = 128
"""Small, so that few windows give many steps."""
MOCAP_WINDOWS = 16_384
"""Windows per epoch on motion capture, from which virtual cameras can draw any number."""


@dataclass(frozen=True, kw_only=True)
class ExperimentOptions:
    """The options of `vidpose paper`, with the command line's names; see docs/paper.md."""

    weights: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    mocap: Path | None = None
    test_subjects: tuple[str, ...] | None = None
    video: Path | None = None
    result: Path | None = None
    person: int | None = None
    sequence: str | None = None
    at: float | None = None
    action: str | None = None
    epochs: int | None = None
    fraction: float | None = None
    seeds: int | None = None
    size: str | None = None
    """small or paper; small by default."""

    def __post_init__(self) -> None:
        training = self.only, self.epochs, self.fraction, self.seeds, self.size
        if self.weights and any(option is not None for option in training):
            raise UsageError(
                "--weights are evaluated without training; omit --only, --epochs, --fraction, "
                "--seeds and --size."
            )
        if self.video is not None and self.sequence is not None:
            raise UsageError("give --video or a --sequence of a dataset, not both.")
        if self.result is not None and (self.video or self.sequence) is not None:
            raise UsageError("--result replaces --video and --sequence; give only one of them.")
        if self.person is not None and (self.video or self.result) is None:
            raise UsageError("--person needs a --result or a --video; give one.")

    @property
    def choice(self) -> dict[str, Any]:
        """The choice of data, as arguments of `datasets.find_data`."""
        return {"mocap": self.mocap, "test_subjects": self.test_subjects}

    @property
    def is_small(self) -> bool:
        return self.size != "paper"

    @property
    def budget(self) -> Budget:
        """The budget of each run; a fraction applies to all windows, with all test frames."""
        if self.is_small and self.fraction is None:
            return QUICK
        return Budget(windows=None, fraction=self.fraction, test_frames=None)

    @property
    def is_paper_setup(self) -> bool:
        """Whether sizes and budget are the paper's."""
        return not self.is_small and self.epochs is None and self.fraction is None

    def rows(self, experiment: Experiment) -> tuple[Row, ...]:
        """Return the selected rows, in the table's order.

        Raises:
            UsageError: there is no such row.
        """
        rows = experiment.rows(SMALL if self.is_small else PAPER_SIZE)
        known = [row.name for row in rows]
        for name in self.only or ():
            if name not in known:
                raise UsageError(f"--only {name}: the rows are {', '.join(known)}.")
        return tuple(row for row in rows if row.name in (self.only or known))

    def run(
        self,
        row: Row,
        experiment: Experiment,
        data: ExperimentData,
        source: ExperimentData | None = None,
        seed: int = 0,
    ) -> Run:
        """Return a row's run with one seed; `source` is the data for pre-training, if any."""
        recipe, before = self.recipe(data, experiment.frames, row, seed), None
        assert source is not None or not row.fine_tuned
        if source is not None:
            first = self.recipe(source, experiment.frames, row, seed)
            if source.clips:
                # Virtual cameras have no image frame, so all rows normalise their input by person,
                # and they work at any frame rate.
                recipe = replace(recipe, normalisation=first.normalisation)
                first = replace(first, fps=data.dataset.test[0].fps)
            if row.fine_tuned:
                first = replace(first, normalisation=recipe.normalisation)  # both need the same
                before = Run(recipe=first, data=source, budget=self.budget)
        return Run(recipe=recipe, data=data, budget=self.budget, before=before)

    def recipe(self, data: ExperimentData, frames: int, row: Row, seed: int) -> Recipe:
        """Return the training recipe of a row; rows of a table differ only in `row.changes`."""
        if not self.is_small:
            name = None if data.clips else "paper"
            base = recipe_for(data.dataset.name, name)
            sizes = PAPER_SIZE | {"model": "poseformer", "frames": frames}
        else:
            base = replace(
                recipe_for("mocap", "vidpose"),
                name="small",
                model="poseformer",
                batch=QUICK_BATCH,
                lr=1e-3,
                epochs=QUICK_EPOCHS,
                val_windows=QUICK_VAL_WINDOWS,
                normalisation="person-2" if data.has_focal_lengths else "screen",
                # On a CPU a convolution's backward pass takes five times as long in bf16.
                precision="fp32" if row.changes.get("model") == "videopose" else "auto",
            )
            sizes = SMALL
        epochs = base.epochs if self.epochs is None else self.epochs
        own = {"seed": seed, "epochs": epochs}
        if data.clips:
            own |= {"windows": MOCAP_WINDOWS}
        return replace(base, mixed=0.0, **sizes | row.changes | own)

    def describe(self, runs: Iterable[tuple[int | None, int | None]]) -> str:
        """Describe the budget in words; `runs` are (epochs, windows per epoch)."""
        epochs, windows = ({each or 0 for each in column} for column in zip(*runs, strict=True))
        size = "the paper's sizes"
        if self.is_small:
            size = "small (c=16, 2+2 blocks, f=9, except for what a row changes)"
        frames = self.budget.test_frames
        return (
            f"{size}, {'/'.join(map(str, sorted(epochs)))} epoch{'s' if epochs != {1} else ''} of "
            f"{'/'.join(f'{n:,}' for n in sorted(windows))} windows"
            + ("" if frames is None else f", about {frames:,} test frames")
        )
