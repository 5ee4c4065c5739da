"""The PoseFormer paper's tables and figures, each one command: `vidpose paper NAME`.

`experiments.py` says what each table is: which networks, on which data, in which columns.
`material.py` finds the data there is, `runs.py` trains and measures, `sheet.py` writes. Table 6 is
in `complexity.py`, Figures 3 and 4 in `comparison.py`, Figures 5 and 6 in `attention.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidpose.errors import UsageError
from vidpose.utils.files import check_writable
from vidpose.utils.progress import Progress, silent

TABLES = tuple(f"table{number}" for number in range(1, 8))
FIGURES = tuple(f"figure{number}" for number in range(3, 7))
NAMES = TABLES + FIGURES

_DATA = {"mocap", "test_subjects"}
_TRAINING = _DATA | {"epochs", "fraction", "seeds", "size"}
_TAKES: dict[str, set[str]] = {
    **dict.fromkeys(("table1", "table2", "table3"), _TRAINING | {"only", "weights"}),
    **dict.fromkeys(("table4", "table5"), _TRAINING | {"only"}),
    "table6": set(),
    "table7": _TRAINING - _DATA | {"only", "weights"},
    "figure3": _TRAINING - {"seeds"} | {"only", "weights", "action"},
    "figure4": _TRAINING - {"seeds"} | {"only", "weights", "video", "sequence", "at"},
    **dict.fromkeys(("figure5", "figure6"), _DATA | {"weights", "video", "sequence", "at"}),
}
"""The options that each experiment knows, besides those of all."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What every experiment works with."""

    out: Path
    """The folder for tables, pictures and runs."""
    data: Path
    device: str
    report: Callable[[str], None]
    progress: Progress

    def path(self, name: str, suffix: str) -> Path:
        return self.out / f"{name}{suffix}"


def rerun(
    name: str,
    out: Path = Path("outputs/paper"),
    data: Path = Path("data"),
    *,
    device: str = "auto",
    report: Callable[[str], None] = print,
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
        options: see docs/paper.md; those of `_TAKES`, as the command line calls them.

    Returns:
        The files written: CSV and picture.

    Raises:
        UsageError: there is no such experiment, or it has no such option.
        VidposeError: data, weights or the video cannot be used, or nothing can be written.
    """
    if name not in NAMES:
        raise UsageError(f"{name} is none of the experiments; choose {', '.join(NAMES)}.")
    for option in options:
        if option not in _TAKES[name]:
            homes = [other for other in NAMES if option in _TAKES[other]]
            where = f"it goes with {', '.join(homes)}" if homes else "there is none"
            raise UsageError(f"{name} has no --{option.replace('_', '-')}; {where}.")
    bench = Bench(out=out, data=data, device=device, report=report, progress=progress)
    check_writable(bench.path(name, ".csv"))
    written = _experiment(name)(name, bench, **options)
    for path in written:
        report(f"Written: {path}")
    return written


def _experiment(name: str) -> Callable[..., list[Path]]:
    if name == "table6":
        from vidpose.paper.complexity import complexity

        return complexity
    if name in ("figure5", "figure6"):
        from vidpose.paper.attention import attention_maps

        return attention_maps
    if name in ("figure3", "figure4"):
        from vidpose.paper import comparison

        return comparison.joint_errors if name == "figure3" else comparison.poses
    from vidpose.paper.experiments import table

    return table
