from pathlib import Path

import pytest

from tests.dataset_files import make_dataset, make_sequence
from vidpose.evaluation.evaluate import METRICS
from vidpose.paper.datasets import ExperimentData
from vidpose.paper.results_table import ResultsTable, RowResult, draw_table
from vidpose.paper.runs import RunResult
from vidpose.paper.tables import EXPERIMENTS, SMALL


def table(*subjects: str, value: float = 50.0) -> ResultsTable:
    """Table 2 with PoseFormer's row only."""
    means = dict.fromkeys(METRICS, value)
    run = RunResult(
        model="poseformer",
        frames=81,
        parameters=1,
        keypoints="gt",
        means=means,
        columns={"Walking": means},
    )
    dataset = make_dataset(*map(make_sequence, subjects))
    data = ExperimentData(dataset=dataset, replaces="h36m", is_public=True, description="x")
    experiment = EXPERIMENTS["table2"]
    rows = [RowResult(experiment.rows(SMALL)[0], [run])]
    return ResultsTable(experiment=experiment, data=data, how="x", rows=rows)


def test_published_numbers_are_only_next_to_their_subjects() -> None:
    text = table("S9", "S11").text()
    assert "31.3 read" in text
    assert "23.3" in text  # PoseFormer's own for Walking
    text = table("S9").text()
    assert "31.3" not in text
    assert "23.3" not in text
    assert "Published figures are for the test subjects S9, S11, so they are not shown." in text
    assert next(iter(table("S9").per_row()))["paper"] is None


@pytest.mark.filterwarnings("error")
def test_bars_of_0_are_drawn(tmp_path: Path) -> None:
    assert draw_table(table("S9", "S11", value=0.0), tmp_path / "a.png").exists()
