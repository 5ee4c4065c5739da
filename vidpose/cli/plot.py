"""`vidpose plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vidpose.cli.common import FILE, say
from vidpose.cli.options import GroupedCommand, from_fields, headed
from vidpose.evaluation.options import REFERENCE, PlotOptions
from vidpose.options import OUTPUT


@click.command(cls=GroupedCommand)
@click.argument("results", metavar="RESULT.npz...", nargs=-1, required=True, type=FILE)
@headed(
    OUTPUT,
    "-o",
    "--out",
    type=FILE,
    metavar="FOLDER",
    help="Folder for the plots. [default: RESULT_plots]",
)
@headed(
    REFERENCE,
    "--reference",
    type=FILE,
    metavar="FILE",
    help="Reference to compare with: another result (.npz), .trc, .c3d, .bvh or .npy.",
)
@headed(REFERENCE, "--csv", type=FILE, metavar="FILE", help="Also write every error as CSV.")
@headed(REFERENCE, "--json", type=FILE, metavar="FILE", help="Also write the mean errors as JSON.")
@from_fields(PlotOptions)
def plot(
    results: tuple[Path, ...],
    out: Path | None,
    reference: Path | None,
    csv: Path | None,
    json: Path | None,
    **options: Any,
) -> None:
    """Plot a result, two results of one video, or errors to a reference.

    One RESULT: trajectories, joint angles, speeds and the quality report. Two: both in one figure.
    With --reference: errors by joint, by joint and time, over time, and cumulative.
    """
    from vidpose.evaluation.plot_results import plot_results

    given = {name: value for name, value in options.items() if value is not None}
    plot_results(
        results,
        out,
        reference=reference,
        csv=csv,
        json=json,
        options=PlotOptions(**given),
        report=say,
    )
