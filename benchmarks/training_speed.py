"""Speed of training steps of the paper's network, bf16 and fp32; ms per step and windows/s.

python benchmarks/run.py --only training_speed [--quick] [--runs N] [--cpu-time]
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from common import Settings, Table
from torch import Tensor

from vidpose.datasets import open_dataset
from vidpose.datasets.synthetic import write_synthetic
from vidpose.models import PoseFormer
from vidpose.skeleton import H36M17
from vidpose.training.windows import Windows, tracks
from vidpose.utils.devices import mixed_precision

CPU = torch.device("cpu")
STEPS = 300
BATCH = 16
SMOOTH = 20
"""Number of steps over which the loss curves are averaged for comparison."""
PAPER_BATCH = 1024
H36M_SAMPLES = 2 * 1_559_752


def table(settings: Settings) -> Table:
    steps = 12 if settings.quick else STEPS
    seconds, losses = _train_both(27, BATCH, steps)
    curves = [_smooth(torch.tensor(losses[p])) for p in ("fp32", "bf16")]
    apart = float(((curves[1] - curves[0]) / curves[0]).abs().max())
    rows = [_row(f"f=27, batch {BATCH}, {p}", BATCH, seconds[p], seconds["fp32"]) for p in seconds]
    large, _ = _train_both(81, BATCH, 3 if settings.quick else 6)
    rows += [_row(f"f=81, batch {BATCH}, {p}", BATCH, large[p], large["fp32"]) for p in large]
    best = min(large.values()) / BATCH
    return Table(
        title="Training steps",
        note=f"The paper's network, forward, backward and AdamW, on the same {steps} batches of "
        "the synthetic set in Human3.6M's layout; the two precisions alternate step by step. "
        f"The loss curves (means over {SMOOTH} steps) are at most {100 * apart:.1f} % apart. "
        "Derived from this: a step of "
        f"the paper's batch of {PAPER_BATCH} at f=81 takes {best * PAPER_BATCH:.0f} s here, and an "
        f"epoch of Human3.6M ({H36M_SAMPLES:,} windows) {best * H36M_SAMPLES / 86400:.1f} days.",
        header=("step", "ms", "windows/s", "speed-up over fp32"),
        rows=rows,
    )


def _windows(frames: int) -> Windows:
    with TemporaryDirectory() as folder:
        write_synthetic(Path(folder))
        made = tracks(open_dataset("h36m", folder).train, "screen", H36M17)
    return Windows(made, frames, mirrored=torch.from_numpy(H36M17.mirrored))


def _train_both(
    frames: int, batch: int, steps: int
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Median seconds per step, and the losses in metres, for each precision."""
    windows = _windows(frames)
    order = torch.randperm(len(windows), generator=torch.Generator().manual_seed(0))
    models, optimizers = {}, {}
    for precision in ("fp32", "bf16"):
        torch.manual_seed(0)
        models[precision] = PoseFormer(frames=frames).train()
        optimizers[precision] = torch.optim.AdamW(
            models[precision].parameters(), lr=2e-4, weight_decay=0.1, fused=True
        )
    seconds: dict[str, list[float]] = {precision: [] for precision in models}
    losses: dict[str, list[float]] = {precision: [] for precision in models}
    for step in range(steps):
        inputs, targets = windows[order[step * batch : (step + 1) * batch]]
        for precision, model in models.items():
            torch.manual_seed(step)  # the same stochastic depth
            start = time.perf_counter()
            with mixed_precision(CPU, precision):
                predicted = model(inputs)
            loss = (predicted.float() - targets).norm(dim=-1).mean()
            optimizers[precision].zero_grad()
            torch.autograd.backward(loss)
            optimizers[precision].step()
            losses[precision].append(loss.item())
            seconds[precision].append(time.perf_counter() - start)
    return {precision: median(some[1:]) for precision, some in seconds.items()}, losses


def _smooth(losses: Tensor) -> Tensor:
    width = min(SMOOTH, len(losses))
    return losses.unfold(0, width, width).mean(dim=-1)


def _row(name: str, batch: int, seconds: float, base: float) -> tuple[str, ...]:
    return name, f"{1000 * seconds:.0f}", f"{batch / seconds:.0f}", f"{base / seconds:.2f}"
