"""Tables 1 to 5 and 7: which networks, on which data, in which columns; and their running.

A row is a network, or weights that were given; a row is run with several seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Sequence as ListOf
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from vidpose.errors import UsageError
from vidpose.evaluation.evaluate import check_fits, evaluate
from vidpose.evaluation.published import BASELINE, CPN, POSEFORMER, Figure, published
from vidpose.models import Checkpoint, load_checkpoint
from vidpose.paper import Bench
from vidpose.paper.datasets import PUBLIC, Material, find_material
from vidpose.paper.results_table import RowResult, Sheet, write_sheet
from vidpose.paper.runs import QUICK_VAL_WINDOWS, Budget, Numbers, Run, complete, numbers_of
from vidpose.training.recipe import Recipe, recipe_for
from vidpose.utils.devices import choose_device
from vidpose.zoo.registry import find_weights

SEEDS = 2
QUICK = Budget(windows=4096, fraction=None, test_frames=4000)
"""What a row costs by default: well under a minute a run on two cores."""
QUICK_EPOCHS = 4
QUICK_BATCH = 128
"""Small, so that few windows are many steps."""

SMALL: dict[str, Any] = {"embed_dim": 16, "depth": 2, "frames": 9}
PAPER_SIZE: dict[str, Any] = {"embed_dim": 32, "depth": 4}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network of a table."""

    name: str
    """For `--only`."""
    label: str
    changes: dict[str, Any] = field(default_factory=dict)
    """Of the recipe's fields."""
    paper: tuple[str, int] | None = None
    """Method and window of the paper's own figure, in `paper_figures`."""
    missing: str = ""
    """Why there is no figure of the paper."""
    fine_tuned: bool = False
    """It begins with a network trained on Human3.6M, or on what stands for it."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One experiment."""

    title: str
    dataset: str
    """The paper's, a key of `material.PUBLIC`."""
    metrics: tuple[str, ...]
    rows: Callable[[dict[str, Any]], tuple[Row, ...]]
    """From the sizes of a PoseFormer."""
    keypoints: str | None = None
    frames: int = 9
    """The paper's window."""
    family: str = ""
    """The mean is over these columns only (`evaluate.Evaluation.families`)."""
    with_columns: bool = True
    with_others: bool = True
    """What is in print of other networks follows."""
    note: str = ""
    compared: tuple[str, str] | None = None
    """Two rows whose difference is the table's point: without and with."""


def _networks(sizes: dict[str, Any], paper_frames: int) -> tuple[Row, ...]:
    """PoseFormer and what it is compared with; VideoPose3D's windows are powers of three."""
    wide = {"embed_dim": 17 * sizes["embed_dim"]}
    return (
        Row(name="poseformer", label="PoseFormer", paper=(POSEFORMER, paper_frames)),
        Row(name="temporal", label="temporal baseline", changes={"model": "temporal"} | wide),
        Row(name="videopose", label="VideoPose3D", changes={"model": "videopose"}),
        Row(name="martinez", label="Martinez et al.", changes={"model": "martinez", "frames": 1}),
    )


def _ablation(sizes: dict[str, Any]) -> tuple[Row, ...]:
    wide = {"embed_dim": 17 * sizes["embed_dim"]}
    lost = "not recovered"
    return (
        Row(
            name="baseline",
            label="no spatial stage",
            changes={"model": "temporal"} | wide,
            paper=(BASELINE, 9),
        ),
        Row(name="full", label="both stages, both embeddings", paper=(POSEFORMER, 9)),
        Row(
            name="spatial",
            label="spatial embedding only",
            changes={"frame_positions": False},
            missing=lost,
        ),
        Row(
            name="temporal",
            label="temporal embedding only",
            changes={"joint_positions": False},
            missing=lost,
        ),
        Row(
            name="none",
            label="no positional embedding",
            changes={"joint_positions": False, "frame_positions": False},
            missing=lost,
        ),
    )


def _sizes(sizes: dict[str, Any]) -> tuple[Row, ...]:
    """Around the size that the paper chose, (c, L_S, L_T) = (32, 4, 4), or half of it."""
    c, depth = sizes["embed_dim"], sizes["depth"]
    half, more = depth // 2, depth + depth // 2
    settings = (
        *((c // 2, depth, depth), (c, depth, depth), (c * 3 // 2, depth, depth)),
        *((c, half, half), (c, more, more), (c, half, depth), (c, depth, half)),
    )
    chosen = (PAPER_SIZE["embed_dim"], PAPER_SIZE["depth"])
    return tuple(
        Row(
            name=f"{width}-{spatial}-{temporal}",
            label=f"c={width}, L_S={spatial}, L_T={temporal}",
            changes={"embed_dim": width, "depth": spatial, "temporal_depth": temporal},
            paper=(POSEFORMER, 9) if (width, spatial) == chosen and spatial == temporal else None,
            missing="not recovered",
        )
        for width, spatial, temporal in settings
    )


def _humaneva(sizes: dict[str, Any]) -> tuple[Row, ...]:
    return (
        Row(name="scratch", label="from scratch", paper=(f"{POSEFORMER}, from scratch", 43)),
        Row(
            name="finetuned",
            label="fine-tuned",
            paper=(f"{POSEFORMER}, from Human3.6M", 43),
            fine_tuned=True,
        ),
    )


EXPERIMENTS = {
    "table1": Table(
        title="Table 1: error by action, detected 2D joints",
        dataset="h36m",
        keypoints=CPN,
        frames=81,
        metrics=("mpjpe_mm", "p_mpjpe_mm"),
        rows=lambda sizes: _networks(sizes, 81),
    ),
    "table2": Table(
        title="Table 2: error by action, true 2D joints",
        dataset="h36m",
        keypoints="gt",
        frames=81,
        metrics=("mpjpe_mm",),
        rows=lambda sizes: _networks(sizes, 81),
    ),
    "table3": Table(
        title="Table 3: MPI-INF-3DHP",
        dataset="mpi_inf_3dhp",
        metrics=("pck", "auc", "mpjpe_mm"),
        rows=lambda sizes: _networks(sizes, 9),
        with_columns=False,
        note="Ours are measured by protocol {protocol}: the root at 0. Of MPI-INF-3DHP's test "
        "frames the valid ones, PCK and AUC over 14 joints. The paper's own protocol was never "
        "released; its 77.1 mm and the 57.7 mm that others measured of it by this protocol cannot "
        "be compared.",
    ),
    "table4": Table(
        title="Table 4: with and without the spatial stage, and the positional embeddings",
        dataset="h36m",
        keypoints=CPN,
        metrics=("mpjpe_mm", "p_mpjpe_mm"),
        rows=_ablation,
        with_columns=False,
        with_others=False,
        compared=("baseline", "full"),
    ),
    "table5": Table(
        title="Table 5: width and depth",
        dataset="h36m",
        keypoints=CPN,
        metrics=("mpjpe_mm", "p_mpjpe_mm"),
        rows=_sizes,
        with_columns=False,
        with_others=False,
    ),
    "table7": Table(
        title="Table 7: HumanEva-I, from scratch and fine-tuned",
        dataset="humaneva",
        frames=43,
        metrics=("p_mpjpe_mm",),
        rows=_humaneva,
        family="Walk and Jog",
        with_others=False,
        compared=("scratch", "finetuned"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says of training."""

    epochs: int | None = None
    fraction: float | None = None
    seeds: int = SEEDS
    size: str = "small"

    @property
    def budget(self) -> Budget:
        """A fraction is of everything, and everything is measured on."""
        if self.size == "paper" and self.fraction is None:
            return Budget(windows=None, fraction=None, test_frames=None)
        if self.fraction is not None:
            return Budget(windows=None, fraction=self.fraction, test_frames=None)
        return QUICK

    @property
    def is_papers(self) -> bool:
        """Sizes and budget are the paper's."""
        return self.size == "paper" and self.epochs is None and self.fraction is None

    @property
    def sizes(self) -> dict[str, Any]:
        return SMALL if self.size == "small" else PAPER_SIZE

    def recipe(self, material: Material, frames: int, row: Row, seed: int) -> Recipe:
        """How a row's network learns: the same for all rows of a table."""
        if self.size == "paper":
            name = None if material.clips else "paper"
            base = recipe_for(material.dataset.name, name)
            sizes = PAPER_SIZE | {"frames": frames}
        else:
            base = replace(
                recipe_for("mocap", "vidpose"),
                name="small",
                model="poseformer",
                batch=QUICK_BATCH,
                lr=1e-3,
                epochs=QUICK_EPOCHS,
                val_windows=QUICK_VAL_WINDOWS,
                normalisation="person" if material.knows_lenses else "screen",
                # On a CPU a convolution's backward pass takes five times as long in bf16.
                precision="fp32" if row.changes.get("model") == "videopose" else "auto",
            )
            sizes = SMALL
        changes = sizes | row.changes | {"seed": seed}
        if self.epochs is not None:
            changes["epochs"] = self.epochs
        return replace(base, **changes)


def table(
    name: str,
    bench: Bench,
    *,
    weights: tuple[str, ...] = (),
    only: tuple[str, ...] | None = None,
    mocap: Path | None = None,
    test_subjects: tuple[str, ...] | None = None,
    **training: Any,
) -> list[Path]:
    """Tables 1 to 5 and 7: measure weights, or train and measure; print, write and draw."""
    experiment, options = EXPERIMENTS[name], Options(**training)
    if weights and (training or only):
        raise UsageError("--weights are measured as they are; leave the options of training away.")
    rows = chosen(experiment.rows(options.sizes), only)
    material = find_material(
        experiment.dataset,
        bench.data,
        keypoints=experiment.keypoints,
        mocap=mocap,
        test_subjects=test_subjects,
        use_mocap=name != "table7",  # virtual cameras have no picture that HumanEva's are like
        progress=bench.progress,
    )
    device, _ = choose_device(bench.device)
    if weights:
        results = given(weights, material, device, bench)
        how = "weights as given"
    else:
        source = None
        if any(row.fine_tuned for row in rows):
            source = find_material("h36m", bench.data, use_mocap=False, progress=bench.progress)
        results = run_all(rows, experiment.frames, material, source, options, device, bench)
        how = told(options, results, source)
    sheet = Sheet(
        title=experiment.title,
        data=material.told,
        is_public=material.is_public,
        how=how,
        metrics=experiment.metrics,
        family=experiment.family if material.dataset.name == experiment.dataset else "",
        with_columns=experiment.with_columns,
        with_others=experiment.with_others,
        rows=results,
        published=published(experiment.dataset, experiment.keypoints or "gt"),
        dataset=PUBLIC[experiment.dataset],
        note=experiment.note.format(protocol=material.protocol.name),
        compared=experiment.compared,
        can_tell=material.is_public and options.is_papers,
    )
    bench.report(sheet.text())
    return write_sheet(sheet, name, bench)


def chosen(rows: tuple[Row, ...], only: ListOf[str] | None) -> tuple[Row, ...]:
    """The rows asked for, in the table's order.

    Raises:
        UsageError: there is no such row.
    """
    if only is None:
        return rows
    known = [row.name for row in rows]
    for name in only:
        if name not in known:
            raise UsageError(f"--only {name}: the rows are {', '.join(known)}.")
    return tuple(row for row in rows if row.name in only)


def runs_of(
    row: Row,
    frames: int,
    material: Material,
    source: Material | None,
    options: Options,
) -> list[Run]:
    """A row's runs, one for each seed."""
    runs = []
    for seed in range(options.seeds):
        recipe = options.recipe(material, frames, row, seed)
        before = None
        if row.fine_tuned:
            assert source is not None
            # Whoever learns from both has to see both alike.
            first = options.recipe(source, frames, row, seed)
            first = replace(first, normalisation=recipe.normalisation)
            before = Run(recipe=first, material=source, budget=options.budget)
        runs.append(Run(recipe=recipe, material=material, budget=options.budget, before=before))
    return runs


def run_all(
    rows: ListOf[Row],
    frames: int,
    material: Material,
    source: Material | None,
    options: Options,
    device: torch.device,
    bench: Bench,
) -> list[RowResult]:
    """Train and measure every row with every seed; what is there already is read."""
    results = []
    for row in rows:
        numbers = [
            complete(run, bench.out / "runs", device, report=bench.report, progress=bench.progress)
            for run in runs_of(row, frames, material, source, options)
        ]
        results.append(
            RowResult(
                name=row.name,
                label=row.label,
                runs=numbers,
                paper=None if row.paper is None else _figures(row.paper),
                missing=row.missing,
                settings={key: value for key, value in row.changes.items() if key != "model"},
            )
        )
    return results


def _figures(method_and_frames: tuple[str, int]) -> Callable[[Figure], bool]:
    method, frames = method_and_frames
    return lambda figure: (figure.method, figure.frames) == (method, frames)


def given(
    weights: ListOf[str], material: Material, device: torch.device, bench: Bench
) -> list[RowResult]:
    """Measure weights as they are, on all test frames."""
    checkpoints = [load_checkpoint(find_weights(name)) for name in weights]
    for checkpoint in checkpoints:
        check_fits(checkpoint, material.dataset)
    results = []
    for name, checkpoint in zip(weights, checkpoints, strict=True):
        evaluation = evaluate(
            checkpoint,
            material.dataset,
            device=device,
            report=bench.report,
            progress=bench.progress,
        )[0]
        numbers: Numbers = numbers_of(evaluation, checkpoint, material)
        is_poseformer = checkpoint.model.name == "poseformer"
        results.append(
            RowResult(
                name=str(name),
                label=evaluation.label,
                runs=[numbers],
                paper=_figures((POSEFORMER, numbers.frames)) if is_poseformer else None,
            )
        )
    return results


def told(options: Options, results: ListOf[RowResult], source: Material | None = None) -> str:
    """The budget in words."""
    runs = [run for result in results for run in result.runs]
    budget = _budget(options, {run.epochs or 0 for run in runs}, {run.windows or 0 for run in runs})
    seeds = f"{options.seeds} seed{'s' if options.seeds != 1 else ''}"
    before = "" if source is None else f"; fine-tuned from {source.told}"
    return f"{budget}, {seeds}{before}"


def told_of(options: Options, networks: Iterable[Checkpoint]) -> str:
    """Likewise, of networks that were trained."""
    training = [checkpoint.training for checkpoint in networks]
    return _budget(
        options,
        {t["recipe"]["epochs"] for t in training},
        {t["windows_an_epoch"] for t in training},
    )


def _budget(options: Options, epochs: set[int], windows: set[int]) -> str:
    size = "the paper's sizes"
    if options.size == "small":
        size = "small (c=16, 2+2 blocks, f=9, but for what a row changes)"
    frames = options.budget.test_frames
    return (
        f"{size}, {'/'.join(map(str, sorted(epochs)))} epoch{'s' if epochs != {1} else ''} of "
        f"{'/'.join(f'{n:,}' for n in sorted(windows))} windows"
        + ("" if frames is None else f", about {frames:,} test frames")
    )
