"""Training a lifter on motion capture under virtual cameras: one loop, read from top to bottom.

A run lives in one folder: `state.pt` (where `--resume` goes on), `log.csv` (a line per epoch)
and `best.safetensors` (the checkpoint with the least error on the left-out subjects).
"""

from __future__ import annotations

import csv
import math
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from vidpose.data.mocap import Clip, read_folder
from vidpose.data.virtual import Variation, VirtualCameras
from vidpose.errors import DataError, UsageError, VidposeError
from vidpose.files import replacing
from vidpose.metrics import mpjpe, p_mpjpe
from vidpose.models import Checkpoint, LiftingModel, PoseFormer, save_checkpoint
from vidpose.normalise import person_from_rays
from vidpose.progress import Progress, silent


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a run learns; stored in its checkpoint."""

    frames: int = 27
    embed_dim: int = 32
    depth: int = 4
    fps: float = 30.0
    held_out: tuple[str, ...] = ("02", "10", "12")
    """Subjects never trained on; the error on them chooses the best checkpoint."""
    epochs: int = 18
    windows: int = 16_384
    """Windows drawn for an epoch."""
    batch: int = 256
    lr: float = 5e-4
    weight_decay: float = 0.1
    warmup: float = 0.02
    """Share of the run in which the learning rate rises; then it falls along a half cosine."""
    val_windows: int = 2048
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "windows", "batch", "val_windows"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}.")
        if self.frames < 1 or self.frames % 2 == 0:
            raise UsageError(f"frames must be odd, for a window has a centre; not {self.frames}.")

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.windows / self.batch)

    def lr_at(self, step: int) -> float:
        total = self.epochs * self.steps_per_epoch
        warmup = max(1, round(self.warmup * total))
        if step < warmup:
            return self.lr * (step + 1) / warmup
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def train_mocap(
    data: Path,
    out: Path,
    recipe: Recipe,
    *,
    device: torch.device | str = "cpu",
    resume: bool = False,
    report: Callable[[str], None] = print,
    progress: Progress = silent,
) -> Path:
    """Train PoseFormer on a folder of motion capture seen by virtual cameras.

    Args:
        data: `<subject>/<clip>.bvh`.
        out: the run's folder.
        recipe: what to train and how.
        device: where to train.
        resume: go on from `out/state.pt`; the numbers are those of an uninterrupted run. The
            number of epochs may be another than at first.
        report: takes a line per epoch.
        progress: wraps the files to read, and the steps of an epoch.

    Returns:
        The path of the best checkpoint.

    Raises:
        UsageError: the folder holds a run already and `resume` is not asked for, or there is
            none to resume, or it has another recipe.
        DataError: the motion capture cannot be read, or no subject is left to train on.
        VidposeError: the loss is no longer a number; the best checkpoint so far is kept.
    """
    device = torch.device(device)
    state_file, best_file = out / "state.pt", out / "best.safetensors"
    if state_file.exists() and not resume:
        raise UsageError(f"{out} holds a run already; add --resume, or choose another --out.")
    if resume and not state_file.exists():
        raise UsageError(f"{out} holds no run to resume; leave --resume out.")

    train, held_out = split(
        read_folder(data, lambda paths: progress(paths, len(paths), "reading")), recipe.held_out
    )
    torch.manual_seed(recipe.seed)
    generator = torch.Generator(device).manual_seed(recipe.seed)
    cameras = VirtualCameras(train, device)
    validation = validation_windows(held_out, recipe, device)
    vary = Variation()
    model = PoseFormer(recipe.frames, embed_dim=recipe.embed_dim, depth=recipe.depth).to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay
    )
    first_epoch, best = 0, math.inf
    if resume:
        first_epoch, best = _restore(state_file, recipe, model, optimizer, generator)

    for epoch in range(first_epoch, recipe.epochs):
        model.train()
        losses = []
        steps = range(epoch * recipe.steps_per_epoch, (epoch + 1) * recipe.steps_per_epoch)
        for step in progress(steps, len(steps), f"epoch {epoch + 1}/{recipe.epochs}"):
            for group in optimizer.param_groups:
                group["lr"] = recipe.lr_at(step)
            rays, target = cameras.draw(recipe.batch, recipe.frames, recipe.fps, vary, generator)
            inputs, rotation = person_from_rays(rays)
            target = in_turned_frame(target, rotation)
            with mixed_precision(device):
                predicted = model(inputs)
            loss = (predicted[:, 0].float() - target).norm(dim=-1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        train_mm = 1000 * float(torch.stack(losses).mean())
        if not math.isfinite(train_mm):
            raise VidposeError(
                f"the loss is no longer a number in epoch {epoch + 1}; lower --lr and start anew"
                + (f" ({best_file} holds the best weights so far)." if best_file.exists() else ".")
            )

        errors = {name: evaluate(model, *windows) for name, windows in validation.items()}
        noisy = errors["noisy"]["mpjpe_mm"]
        if noisy < best:
            best = noisy
            training = {
                "dataset": "mocap",
                "recipe": asdict(recipe),
                "variation": vary.to_dict(),
                "epoch": epoch + 1,
                "held_out_errors": errors,
            }
            save_checkpoint(best_file, _checkpoint(model, recipe, training), torch.float16)
        _save_state(state_file, recipe, model, optimizer, generator, epoch + 1, best)
        _log(out / "log.csv", epoch + 1, recipe.lr_at(steps[-1]), train_mm, errors)
        measured = ", ".join(
            f"{name} {e['mpjpe_mm']:.1f} (P {e['p_mpjpe_mm']:.1f})" for name, e in errors.items()
        )
        report(f"epoch {epoch + 1}/{recipe.epochs}: training {train_mm:.1f} mm, {measured}")
    return best_file


def split(clips: Sequence[Clip], held_out: Sequence[str]) -> tuple[list[Clip], list[Clip]]:
    """Clips to train on, and those of the left-out subjects.

    Raises:
        DataError: a subject is not there, or one of the two is empty.
    """
    subjects = {clip.subject for clip in clips}
    if not subjects > set(held_out) or not held_out:
        raise DataError(
            f"the motion capture has subjects {', '.join(sorted(subjects))}; it cannot leave out "
            f"{', '.join(held_out) or 'nobody'}: name some of them, but not all."
        )
    train = [clip for clip in clips if clip.subject not in held_out]
    rest = [clip for clip in clips if clip.subject in held_out]
    return train, rest


def validation_windows(
    clips: Sequence[Clip], recipe: Recipe, device: torch.device, seed: int = 2021
) -> dict[str, tuple[Tensor, Tensor]]:
    """The same windows in every run: inputs and targets, from clean and from noisy 2D.

    Motion and cameras are those of training; bodies vary as there, for the motion capture has
    only one. The focal length is exact and nobody is mirrored or sped up.
    """
    cameras = VirtualCameras(clips, device)
    windows = {}
    for name, noise in (("clean", 0.0), ("noisy", 1.0)):
        vary = Variation(noise=noise, focal_error_sd=0.0, speed=(1.0, 1.0), mirror=0.0)
        generator = torch.Generator(device).manual_seed(seed)
        rays, target = cameras.draw(recipe.val_windows, recipe.frames, recipe.fps, vary, generator)
        inputs, rotation = person_from_rays(rays)
        windows[name] = inputs, in_turned_frame(target, rotation)
    return windows


def in_turned_frame(target: Tensor, rotation: Tensor) -> Tensor:
    """(B, J, 3) camera frame -> the centre frame's turned camera; rotation (B, F, 3, 3)."""
    return target @ rotation[:, rotation.shape[1] // 2].mT


@torch.inference_mode()
def evaluate(model: LiftingModel, inputs: Tensor, target: Tensor) -> dict[str, float]:
    """MPJPE and P-MPJPE in mm, in float32, without flip averaging."""
    model.eval()
    predicted = torch.cat([model(part)[:, 0] for part in inputs.split(256)])
    predicted[:, 0] = 0  # the root is where it is by definition
    p, t = predicted.cpu().numpy(), target.cpu().numpy()
    return {"mpjpe_mm": 1000 * mpjpe(p, t), "p_mpjpe_mm": 1000 * p_mpjpe(p, t)}


@contextmanager
def mixed_precision(device: torch.device) -> Iterator[None]:
    """Matrix products in bf16 where the hardware computes in it."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        with torch.autocast("cuda", torch.bfloat16):
            yield
    elif device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        # On a CPU the fused attention's backward pass in bf16 is slower than the plain one's.
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            yield
    else:
        yield


def _checkpoint(model: PoseFormer, recipe: Recipe, training: dict[str, Any]) -> Checkpoint:
    return Checkpoint(
        model=model,
        normalisation="person",
        fps=recipe.fps,
        skeleton="h36m17",
        training=training,
    )


def _log(
    path: Path, epoch: int, lr: float, train_mm: float, errors: dict[str, dict[str, float]]
) -> None:
    row = {"epoch": epoch, "lr": lr, "train_mpjpe_mm": train_mm}
    row |= {f"{name}_{key}": value for name, e in errors.items() for key, value in e.items()}
    new = not path.exists()
    with open(path, "a", newline="") as stream:
        writer = csv.DictWriter(stream, list(row))
        if new:
            writer.writeheader()
        writer.writerow({key: round(value, 8) for key, value in row.items()})


def _save_state(
    path: Path,
    recipe: Recipe,
    model: PoseFormer,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    epoch: int,
    best: float,
) -> None:
    state = {
        "recipe": asdict(recipe),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "generator": generator.get_state(),
        "torch_rng": torch.get_rng_state(),
        "epoch": epoch,
        "best": best,
    }
    with replacing(path) as temporary:
        torch.save(state, temporary)


def _restore(
    path: Path,
    recipe: Recipe,
    model: PoseFormer,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
) -> tuple[int, float]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        stored = state["recipe"]
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError):
        raise VidposeError(f"{path} cannot be read; start a new run.") from None
    # A run may be made longer or shorter on the way; the learning rate follows its new end.
    differing = [
        key for key, value in asdict(recipe).items() if key != "epochs" and stored.get(key) != value
    ]
    if differing:
        raise UsageError(
            f"{path} was started with other options ({', '.join(differing)}); "
            "give the same, or start a new run."
        )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    generator.set_state(state["generator"])
    torch.set_rng_state(state["torch_rng"])
    return int(state["epoch"]), float(state["best"])
