"""The folder of a training run: its files, and how a run is resumed.

state.pt            state for --resume: weights, optimizers, position in the run, log
best.safetensors    the checkpoint with the lowest validation error
last.safetensors    the checkpoint of the last epoch
log.csv             one row per epoch
curve.png           the log as a plot
tensorboard/        the log for TensorBoard, if it is installed
set-aside-1/ ...    the files of a run that could not be resumed
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from vidpose.datasets.virtual_cameras import Variation
from vidpose.errors import UsageError, VidposeError, WeightsError
from vidpose.models import load_checkpoint
from vidpose.training.recipe import Recipe
from vidpose.utils import torch_files
from vidpose.utils.files import check_writable, obstacle, replacing, writing
from vidpose.utils.locks import FolderLock
from vidpose.utils.outside import number, reading, whole

FORMAT = "vidpose-run/1"
MAY_DIFFER = ("epochs", "precision", "accumulate", "compile")
"""Recipe fields that may change when a run is resumed, for example on another machine."""

NOT_IN_OLDER = ("subjects", "chosen_on", "checksum")
"""Provenance keys that older versions did not always store."""


@dataclass
class RunState:
    """Progress of a run; the state of model and optimizers is in the `Learner`."""

    epoch: int = 0
    """Epochs completed."""
    step: int = 0
    """Steps completed in the current epoch."""
    loss_sum: float = 0.0
    """Sum over the samples of those steps, in all processes, metres."""
    samples: int = 0
    best_mm: float = float("inf")
    log: list[dict[str, float]] = field(default_factory=list)


class UnusableStateError(VidposeError):
    """state.pt cannot be read, or does not hold the state of a run."""


NEW_RUN_ADVICE = "start a new run in another --out"
"""Advice in that case."""


def _checked(run: RunState) -> RunState:
    """Raise ValueError unless the values read from a file are valid."""
    for name in ("epoch", "step", "samples"):
        whole(name, getattr(run, name), 0, 1 << 48)
    number("loss_sum", run.loss_sum, 0, math.inf)
    if not isinstance(run.best_mm, float) or math.isnan(run.best_mm):
        raise ValueError(f"best_mm: expected a number, got {run.best_mm!r:.40}")
    if not isinstance(run.log, list) or not all(isinstance(row, dict) for row in run.log):
        raise ValueError("log: expected a list of epochs")
    return run


def _short(value: Any) -> Any:
    """Shorten a value for a message: weights to their checksum."""
    return value["sha256"] if isinstance(value, dict) and "sha256" in value else value


class RunFolder:
    """The files of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state.pt"
        self.best = folder / "best.safetensors"
        self.last = folder / "last.safetensors"
        self.log = folder / "log.csv"
        self.curve = folder / "curve.png"
        self.board = folder / "tensorboard"

    def check(self, resume: bool) -> None:
        """Check that the folder can be written and that `resume` fits its content.

        Raises:
            UsageError: there is a run already, or no run to resume.
            VidposeError: the folder cannot be written.
        """
        files = (self.state, self.best, self.last, self.log, self.curve)
        for path in files:
            check_writable(path)
        if os.path.lexists(self.board) and (self.board.is_symlink() or not self.board.is_dir()):
            raise UsageError(f"{self.board} is not a folder of a run; choose another --out.")
        if resume and not self.state.exists():
            raise UsageError(f"{self.folder} holds no run to resume; leave --resume out.")
        if resume:
            return
        if self.state.exists():
            raise UsageError(
                f"{self.folder} holds a run already; add --resume, or choose another --out."
            )
        if there := [path.name for path in files if os.path.lexists(path)]:
            raise UsageError(
                f"{self.folder} holds {there[0]} already, which a new run would overwrite; choose "
                "another --out."
            )

    @contextmanager
    def alone(self, writes: bool) -> Iterator[None]:
        """Lock the folder against other runs.

        Args:
            writes: whether this process writes the files.

        Raises:
            UsageError: another run holds the lock.
            VidposeError: the folder cannot be created.
        """
        if not writes:
            yield
            return
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FolderLock(self.folder.resolve())  # follows the user's link to another disk
        try:
            if not lock.held:
                raise UsageError(
                    f"another run is writing to {self.folder}; wait until it ends, or choose "
                    "another --out."
                )
            yield
        finally:
            lock.release()

    def save(
        self, run: RunState, recipe: Recipe, provenance: dict[str, Any], learned: dict[str, Any]
    ) -> None:
        """Write state.pt atomically.

        Args:
            run: progress of the run.
            recipe: its recipe.
            provenance: provenance of the data.
            learned: the learner's `state_dict`.

        Raises:
            VidposeError: a weight is not finite, or the file cannot be written; the old file
                stays.
        """
        if not all(bool(tensor.isfinite().all()) for tensor in learned["model"].values()):
            raise self.diverged("the weights are no longer finite", run)
        content = {"format": FORMAT, "recipe": recipe.to_dict(), "data": provenance}
        # Via memory: on a full disk, PyTorch's own writer prints a second error when it is freed.
        buffer = io.BytesIO()
        torch.save(content | {"run": vars(run)} | learned, buffer)
        with replacing(self.state) as temporary:
            temporary.write_bytes(buffer.getvalue())  # a view of it could outlive it in an error

    def read(self) -> dict[str, Any]:
        """Read what `save` wrote: format, recipe, data, run, and the learner's state.

        Raises:
            UnusableStateError: the file is damaged or holds something else.
            VidposeError: the file is missing or cannot be read.
        """
        if why := obstacle(self.state, "leave --resume out"):
            raise VidposeError(f"{self.state} {why}.")
        with reading(self.state, UnusableStateError, "is damaged or holds no run", NEW_RUN_ADVICE):
            content: dict[str, Any] = torch_files.read(self.state)
            if content["format"] != FORMAT:
                raise ValueError(f"it is not of the format {FORMAT}")
            # Fields that older runs lack had the default's behaviour.
            recipe, data = content["recipe"], content["data"]
            if "singles" in recipe:
                recipe["single_frame"] = recipe.pop("singles")
            content["recipe"] = Recipe().to_dict() | recipe
            if "variation" in data:
                data["variation"] = Variation.from_dict(data["variation"]).to_dict()
            content["run"] = _checked(RunState(**content["run"]))
        return content

    def is_usable(self) -> bool:
        """Whether state.pt can be read, so that the run can be resumed."""
        try:
            self.read()
        except UnusableStateError:
            return False
        return True

    def set_aside(self) -> Path:
        """Move all files of a run into a new subfolder.

        Raises:
            VidposeError: they cannot be moved.
        """
        number = 1
        while os.path.lexists(aside := self.folder / f"set-aside-{number}"):
            number += 1
        with writing(aside):
            aside.mkdir()
            for path in (self.best, self.last, self.log, self.curve, self.board, self.state):
                if os.path.lexists(path):
                    path.rename(aside / path.name)
        return aside

    def recipe_as_begun(self, recipe: Recipe) -> Recipe:
        """Give a resumed run the version of the normalisation that it started with.

        Raises:
            VidposeError: the run cannot be read.
        """
        began = self.read()["recipe"]["normalisation"]
        first_version = {"person-2": "person"}.get(recipe.normalisation)
        return replace(recipe, normalisation=began) if began == first_version else recipe

    def variation_as_begun(self) -> Variation | None:
        """The variation that a run on motion capture started with, if it stores one.

        Raises:
            VidposeError: the run cannot be read.
        """
        stored = self.read()["data"].get("variation")
        return None if stored is None else Variation.from_dict(stored)

    def splits_by_count(self) -> bool:
        """Whether an older version started the run, see `vidpose.datasets.dataset.hold_out`.

        Raises:
            VidposeError: the run cannot be read.
        """
        return "checksum" not in self.read()["data"]

    def began_with_weights(self) -> bool:
        """Whether last.safetensors, if there is one, records that the run had initial weights."""
        try:
            return "began_with" in load_checkpoint(self.last).training
        except WeightsError:
            return False

    def restore(
        self, recipe: Recipe, provenance: dict[str, Any]
    ) -> tuple[RunState, dict[str, Any]]:
        """Read a run to resume: its progress, and all that `read` returns.

        Its initial weights need not be given again.

        Raises:
            UsageError: the run was started with another recipe or other data.
            VidposeError: the file cannot be read.
        """
        content = self.read()
        theirs, ours = content["recipe"] | content["data"], recipe.to_dict() | provenance
        may_differ = {*MAY_DIFFER, *({"began_with"} - ours.keys())}
        may_differ |= {*NOT_IN_OLDER} - theirs.keys()
        keys = [key for key in theirs | ours if key not in may_differ]
        differing = [key for key in keys if theirs.get(key) != ours.get(key)]
        if differing:
            changes = ", ".join(
                f"{key}: {_short(theirs.get(key))}, now {_short(ours.get(key))}"
                for key in differing
            )
            raise UsageError(
                f"{self.state} was started with other options ({changes}); give the same, or start "
                "a new run."
            )
        return content["run"], content

    def diverged(self, what: str, run: RunState) -> VidposeError:
        """Make the error for a run that diverged; it names the last good weights."""
        kept = f" ({self.best} holds the best weights so far)" if self.best.exists() else ""
        return VidposeError(f"{what} in epoch {run.epoch + 1}; lower --lr and start again{kept}.")

    def write_log(self, rows: list[dict[str, float]]) -> None:
        """Write all epochs to log.csv, and the last one to TensorBoard if it is installed."""
        with replacing(self.log) as temporary, open(temporary, "w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows({k: round(v, 8) for k, v in row.items()} for row in rows)
        with writing(self.board):
            if (writer := self._board_writer) is not None:
                for name, value in rows[-1].items():
                    writer.add_scalar(name, value, rows[-1]["epoch"])
                writer.flush()

    @cached_property
    def _board_writer(self) -> Any:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return None
        return SummaryWriter(str(self.board))
