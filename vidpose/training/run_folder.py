"""The folder of a training run: what is in it, and how a run is taken up again.

state.pt            where --resume goes on: weights, optimizer, place in the run, log
best.safetensors    the checkpoint with the least validation error
last.safetensors    the checkpoint of the newest epoch
log.csv             a line per epoch
curve.png           the same as a picture
tensorboard/        the same for TensorBoard, where it is installed
"""

from __future__ import annotations

import csv
import pickle
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from vidpose.errors import UsageError, VidposeError
from vidpose.training.recipe import Recipe
from vidpose.utils.files import replacing

FORMAT = "vidpose-run/1"
MAY_DIFFER = ("epochs", "precision", "accumulate")
"""A run may be made longer or shorter on the way, and go on on another machine."""


@dataclass
class RunState:
    """How far a run is; the model and the optimizers hold their part themselves."""

    epoch: int = 0
    """Epochs completed."""
    step: int = 0
    """Steps completed in the epoch that has begun."""
    loss_sum: float = 0.0
    """Over the samples of those steps, metres."""
    samples: int = 0
    best_mm: float = float("inf")
    log: list[dict[str, float]] = field(default_factory=list)


class RunFolder:
    """The files of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state.pt"
        self.best = folder / "best.safetensors"
        self.last = folder / "last.safetensors"
        self.log = folder / "log.csv"
        self.curve = folder / "curve.png"

    def check(self, resume: bool) -> None:
        """Refuse to overwrite a run, or to resume none.

        Raises:
            UsageError: `resume` does not go with what is there.
        """
        if self.state.exists() and not resume:
            raise UsageError(
                f"{self.folder} holds a run already; add --resume, or choose another --out."
            )
        if resume and not self.state.exists():
            raise UsageError(f"{self.folder} holds no run to resume; leave --resume out.")

    def save(
        self,
        state: RunState,
        recipe: Recipe,
        data: dict[str, Any],
        model: torch.nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        average: torch.nn.Module | None = None,
    ) -> None:
        """Write all that a run needs to go on; whole or not at all.

        Raises:
            VidposeError: a weight is no number, or the file cannot be written; what was saved
                before stays.
        """
        weights = model.state_dict()
        if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
            raise VidposeError(
                f"the weights are no longer numbers in epoch {state.epoch + 1}; lower --lr and "
                f"start anew" + self.last_good()
            )
        with replacing(self.state) as temporary:
            torch.save(
                {
                    "format": FORMAT,
                    "recipe": recipe.to_dict(),
                    "data": data,
                    "run": vars(state),
                    "model": weights,
                    "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                    "average": {} if average is None else average.state_dict(),
                },
                temporary,
            )

    def restore(
        self,
        recipe: Recipe,
        data: dict[str, Any],
        model: torch.nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        average: torch.nn.Module | None = None,
    ) -> RunState:
        """Take a run up again.

        Raises:
            UsageError: it was started with another recipe or other data.
            VidposeError: the file cannot be read.
        """
        try:
            state = torch.load(self.state, map_location="cpu", weights_only=True)
            # What older runs do not name yet was as it is by default.
            theirs = {**asdict(Recipe()), **state["recipe"], **state["data"]}
            run = RunState(**state["run"])
            parts = state.get("optimizers") or [state["optimizer"]]  # older runs had one
            if state["format"] != FORMAT:
                raise ValueError
        except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError):
            raise VidposeError(f"{self.state} cannot be read; start a new run.") from None
        ours = {**recipe.to_dict(), **data}
        differing = [key for key in ours if key not in MAY_DIFFER and theirs.get(key) != ours[key]]
        if differing:
            told = ", ".join(f"{key}: {theirs.get(key)}, now {ours[key]}" for key in differing)
            raise UsageError(
                f"{self.state} was started with other options ({told}); give the same, or start "
                "a new run."
            )
        model.load_state_dict(state["model"])
        for optimizer, part in zip(optimizers, parts, strict=True):
            optimizer.load_state_dict(part)
        if average is not None:
            average.load_state_dict(state["average"])
        return run

    def last_good(self) -> str:
        """The end of a sentence that says where the last good weights are, if anywhere."""
        return f" ({self.best} holds the best weights so far)." if self.best.exists() else "."

    def write_log(self, rows: list[dict[str, float]]) -> None:
        with replacing(self.log) as temporary, open(temporary, "w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows({k: round(v, 8) for k, v in row.items()} for row in rows)

    def tensorboard(self) -> Any:
        """TensorBoard's writer, or None where TensorBoard is not installed."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return None
        return SummaryWriter(str(self.folder / "tensorboard"))
