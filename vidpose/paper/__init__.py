"""Reproduce the tables and figures of the PoseFormer paper: `vidpose paper NAME`.

`tables.py` defines Tables 1 to 5 and 7: networks, data and columns. `datasets.py` finds the
available data, `runs.py` trains and evaluates, `experiments.py` runs a table and
`results_table.py` writes it. Table 6 is in `complexity.py`, Figures 3 and 4 are in
`comparison.py`, Figures 5 and 6 in `attention.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vidpose.errors import UsageError
from vidpose.events import FileWritten, Report, ignore
from vidpose.paper.workspace import Workspace
from vidpose.utils.devices import choose_device
from vidpose.utils.files import check_writable
from vidpose.utils.progress import Progress, silent

NAMES = (*(f"table{n}" for n in range(1, 8)), *(f"figure{n}" for n in range(3, 7)))

_DATA = {"mocap", "test_subjects"}
_OWN = {"video", "result", "person"}
_TRAINING = _DATA | {"epochs", "fraction", "seeds", "size"}
_OPTIONS: dict[str, set[str]] = {
    **dict.fromkeys(("table1", "table2", "table3"), _TRAINING | {"only", "weights"}),
    **dict.fromkeys(("table4", "table5"), _TRAINING | {"only"}),
    "table6": set(),
    "table7": _TRAINING - {"test_subjects"} | {"only", "weights"},
    "figure3": _TRAINING - {"seeds"} | {"only", "weights", "action"},
    "figure4": _TRAINING - {"seeds"} | {"only", "weights", *_OWN, "sequence", "at"},
    **dict.fromkeys(("figure5", "figure6"), _DATA | {"weights", *_OWN, "sequence", "at"}),
}
"""The options of each experiment, in addition to those of all experiments."""


def rerun(
    name: str,
    out: Path = Path("outputs/paper"),
    data: Path = Path("data"),
    *,
    device: str = "auto",
    report: Report = ignore,
    progress: Progress = silent,
    **options: Any,
) -> list[Path]:
    """Rerun one experiment of the paper on the available data.

    Args:
        name: one of `NAMES`.
        out: output folder; finished runs in it are not repeated.
        data: folder with the public datasets, or with `mocap/` or `synthetic/`.
        device: auto, cpu or cuda.
        report: receives the table, notes and written files.
        progress: wraps long work.
        options: the options in `_OPTIONS`, with the command line's names; see docs/paper.md.

    Returns:
        The files that were written: CSV and plot.

    Raises:
        UsageError: there is no such experiment, or it has no such option.
        VidposeError: data, weights or the video cannot be used, or an output cannot be written.
    """
    if name not in NAMES:
        raise UsageError(f"{name} is not an experiment; choose one of {', '.join(NAMES)}.")
    for option in options:
        if option not in _OPTIONS[name]:
            others = [other for other in NAMES if option in _OPTIONS[other]]
            where = f"use it with {', '.join(others)}" if others else "no experiment has it"
            raise UsageError(f"{name} has no --{option.replace('_', '-')}; {where}.")
    from vidpose.paper.options import ExperimentOptions

    chosen, _ = choose_device(device)
    workspace = Workspace(out=out, data=data, device=chosen, report=report, progress=progress)
    check_writable(workspace.path(name, ".csv"))
    written = _experiment(name)(name, workspace, ExperimentOptions(**options))
    for path in written:
        report(FileWritten("Written", path))
    return written


def _experiment(name: str) -> Callable[..., list[Path]]:
    from vidpose.paper import attention, comparison, complexity, experiments

    others: dict[str, Callable[..., list[Path]]] = {
        "table6": complexity.complexity,
        "figure3": comparison.joint_errors,
        "figure4": comparison.poses,
        "figure5": attention.attention_maps,
        "figure6": attention.attention_maps,
    }
    return others.get(name, experiments.table)
