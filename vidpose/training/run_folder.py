"""The folder of a training run: what is in it, and how a run is taken up again.

state.pt            where --resume goes on: weights, optimizer, place in the run, log
best.safetensors    the checkpoint with the least validation error
last.safetensors    the checkpoint of the newest epoch
log.csv             a line per epoch
curve.png           the same as a picture
tensorboard/        the same for TensorBoard, where it is installed
set-aside-1/ ...    a run that could not be taken up again, as it was
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
"""A run may be made longer or shorter on the way, and go on on another machine."""

NOT_IN_OLDER = ("subjects", "chosen_on", "checksum")
"""What older versions did not store of all data."""


@dataclass
class RunState:
    """How far a run is; the model and the optimizers hold their part themselves."""

    epoch: int = 0
    """Epochs completed."""
    step: int = 0
    """Steps completed in the epoch that has begun."""
    loss_sum: float = 0.0
    """Over the samples of those steps, of all processes, metres."""
    samples: int = 0
    best_mm: float = float("inf")
    log: list[dict[str, float]] = field(default_factory=list)


class UnusableStateError(VidposeError):
    """A state.pt that cannot be read, or holds no state of a run."""


ELSEWHERE = "start a new run in another --out"
"""What helps then."""


def _checked(run: RunState) -> RunState:
    """Raise ValueError unless the numbers of a file can be those of a run."""
    for name in ("epoch", "step", "samples"):
        whole(name, getattr(run, name), 0, 1 << 48)
    number("loss_sum", run.loss_sum, 0, math.inf)
    if not isinstance(run.best_mm, float) or math.isnan(run.best_mm):
        raise ValueError(f"best_mm: expected a number, got {run.best_mm!r:.40}")
    if not isinstance(run.log, list) or not all(isinstance(row, dict) for row in run.log):
        raise ValueError("log: expected a list of epochs")
    return run


def _short(value: Any) -> Any:
    """For a sentence: weights by their checksum alone."""
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
        """Refuse to overwrite a run, to resume none, or to train what could not be saved.

        Raises:
            UsageError: `resume` does not go with what is there.
            VidposeError: the folder cannot be written to.
        """
        files = (self.state, self.best, self.last, self.log, self.curve)
        for path in files:
            check_writable(path)
        if os.path.lexists(self.board) and (self.board.is_symlink() or not self.board.is_dir()):
            raise UsageError(f"{self.board} is no folder of a run; choose another --out.")
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
                f"{self.folder} holds {there[0]} already, which a new run would replace; choose "
                "another --out."
            )

    @contextmanager
    def alone(self, writes: bool) -> Iterator[None]:
        """Keep two runs from writing into one folder.

        Args:
            writes: whether this process is the one that writes.

        Raises:
            UsageError: another one is at it.
            VidposeError: the folder cannot be made.
        """
        if not writes:
            yield
            return
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FolderLock(self.folder.resolve())  # the user's own link to another disk is fine
        try:
            if not lock.held:
                raise UsageError(
                    f"another run writes into {self.folder}; wait for its end, or choose another "
                    "--out."
                )
            yield
        finally:
            lock.release()

    def save(
        self, run: RunState, recipe: Recipe, provenance: dict[str, Any], learned: dict[str, Any]
    ) -> None:
        """Write all that a run needs to go on; the file appears complete or not at all.

        Args:
            run: how far it is.
            recipe: what is trained.
            provenance: of the data.
            learned: the learner's `state_dict`.

        Raises:
            VidposeError: a weight is no number, or the file cannot be written; what was saved
                before stays.
        """
        if not all(bool(tensor.isfinite().all()) for tensor in learned["model"].values()):
            raise self.diverged("the weights are no longer numbers", run)
        content = {"format": FORMAT, "recipe": recipe.to_dict(), "data": provenance}
        # Through memory: on a full disk PyTorch's own writer prints a second error as it is freed.
        buffer = io.BytesIO()
        torch.save(content | {"run": vars(run)} | learned, buffer)
        with replacing(self.state) as temporary:
            temporary.write_bytes(buffer.getbuffer())

    def read(self) -> dict[str, Any]:
        """What `save` wrote: format, recipe, data, run, and the learner's state.

        Raises:
            UnusableStateError: the file is damaged or something else.
            VidposeError: reading it is not permitted.
        """
        if why := obstacle(self.state, "leave --resume out"):
            raise VidposeError(f"{self.state} {why}.")
        with reading(self.state, UnusableStateError, "is damaged or holds no run", ELSEWHERE):
            content: dict[str, Any] = torch_files.read(self.state)
            if content["format"] != FORMAT:
                raise ValueError(f"it is not of the format {FORMAT}")
            # What older runs do not name yet was as it is by default.
            recipe, data = content["recipe"], content["data"]
            if "singles" in recipe:
                recipe["single_frame"] = recipe.pop("singles")
            content["recipe"] = Recipe().to_dict() | recipe
            if "variation" in data:
                data["variation"] = Variation.from_dict(data["variation"]).to_dict()
            content["run"] = _checked(RunState(**content["run"]))
        return content

    def is_usable(self) -> bool:
        """Whether a run can be taken up again, as far as the file itself tells."""
        try:
            self.read()
        except UnusableStateError:
            return False
        return True

    def set_aside(self) -> Path:
        """Move all files of a run out of the way, into a new folder in this one.

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
        """A run's input is prepared as it was when the run began.

        Raises:
            VidposeError: the run cannot be read.
        """
        began = self.read()["recipe"]["normalisation"]
        first_version = {"person-2": "person"}.get(recipe.normalisation)
        return replace(recipe, normalisation=began) if began == first_version else recipe

    def variation_as_begun(self) -> Variation | None:
        """What a run on motion capture draws for every window, also if today's runs draw more.

        Raises:
            VidposeError: the run cannot be read.
        """
        stored = self.read()["data"].get("variation")
        return None if stored is None else Variation.from_dict(stored)

    def splits_by_count(self) -> bool:
        """Whether an older version began the run, see `vidpose.datasets.dataset.hold_out`.

        Raises:
            VidposeError: the run cannot be read.
        """
        return "checksum" not in self.read()["data"]

    def began_with_weights(self) -> bool:
        """Whether the last weights say that the run began with others; False if there are none."""
        try:
            return "began_with" in load_checkpoint(self.last).training
        except WeightsError:
            return False

    def restore(
        self, recipe: Recipe, provenance: dict[str, Any]
    ) -> tuple[RunState, dict[str, Any]]:
        """How far a run is, and all that `read` gives, the learner's `state_dict` included.

        The weights that it began with need not be named again.

        Raises:
            UsageError: it was started with another recipe or other data.
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
        """The error of a run that has left the numbers; it says where the last good weights are."""
        kept = f" ({self.best} holds the best weights so far)" if self.best.exists() else ""
        return VidposeError(f"{what} in epoch {run.epoch + 1}; lower --lr and start anew{kept}.")

    def write_log(self, rows: list[dict[str, float]]) -> None:
        """Write all epochs to log.csv, and the last one for TensorBoard, if it is installed."""
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
