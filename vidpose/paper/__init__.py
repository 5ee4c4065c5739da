"""The PoseFormer paper's tables and figures, each one command: `vidpose paper NAME`.

`experiments.py` says what each table is: which networks, on which data, in which columns.
`datasets.py` finds the data there is, `runs.py` trains and measures, `results_table.py` writes.
Table 6 is in `complexity.py`, Figures 3 and 4 in `comparison.py`, Figures 5 and 6 in
`attention.py`.
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
"""The options that each experiment knows, in addition to those of all."""


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
    """Rerun one experiment of the paper on the data there is.

    Args:
        name: one of `NAMES`.
        out: folder for what is written; finished runs in it are not repeated.
        data: where the public datasets are looked for, `mocap/` and `synthetic/` in it too.
        device: auto, cpu or cuda.
        report: takes the table, and what there is to say.
        progress: wraps long work.
        options: see docs/paper.md; those of `_OPTIONS`, as the command line calls them.

    Returns:
        The files written: CSV and picture.

    Raises:
        UsageError: there is no such experiment, or it has no such option.
        VidposeError: data, weights or the video cannot be used, or nothing can be written.
    """
    if name not in NAMES:
        raise UsageError(f"{name} is none of the experiments; choose {', '.join(NAMES)}.")
    for option in options:
        if option not in _OPTIONS[name]:
            homes = [other for other in NAMES if option in _OPTIONS[other]]
            where = f"it goes with {', '.join(homes)}" if homes else "there is none"
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
