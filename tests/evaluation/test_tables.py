import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.dataset_files import h36m_like, make_checkpoint, make_dataset, make_sequence
from vidpose.datasets.h36m import ACTIONS
from vidpose.evaluation import tables
from vidpose.evaluation.evaluate import METRICS, Evaluation, evaluate
from vidpose.evaluation.published import CPN
from vidpose.skeleton import HUMANEVA15, MPI_INF_3DHP


@pytest.fixture(scope="module")
def both() -> tuple[Evaluation, ...]:
    """With and without flip averaging."""
    dataset = replace(h36m_like(), keypoints=CPN)
    found = evaluate(make_checkpoint(), dataset, label="tiny")
    return tuple(replace(evaluation, frames=81) for evaluation in found)


def line(text: str, start: str) -> list[str]:
    """The cells after `start` in the first line that starts with it."""
    found = next(row for row in text.splitlines() if row.startswith(start))
    return found[len(start) :].split()


def test_table_by_action(both: tuple[Evaluation, ...]) -> None:
    text = tables.text(both, ["action"])
    assert "tiny (PoseFormer, 81 frames, with flip averaging) on h36m" in text
    assert "17 joints, 18 sequences" in text
    frames, *cells = line(text, "Walking")
    assert int(frames) == sum(map(len, both[0].groups["Walking"]))
    assert cells[:6] == [f"{both[0].value(key, 'Walking'):.1f}" for key in METRICS]
    mean = line(text, "mean of actions ")[1:7]
    assert mean == [f"{both[0].value(key):.1f}" for key in METRICS]
    pooled = [both[0].over_joints(key, both[0].pooled(key)) for key in METRICS]
    assert line(text, "all frames")[1:] == [f"{value:.1f}" for value in pooled]
    plain = line(text, "mean of actions, without flip")[1:]
    assert plain == [f"{both[1].value(key):.1f}" for key in METRICS]
    low, high = both[0].interval("mpjpe_mm") or (0, 0)
    assert f"95 % interval of MPJPE, mean of actions: {low:.1f} to {high:.1f}" in text


def test_the_papers_numbers_are_next_to_ours_with_marks(both: tuple[Evaluation, ...]) -> None:
    text = tables.text(both, ["action"])
    assert line(text, "Walking")[7:] == ["31.8", "unverified", "24.5", "unverified"]
    # Theirs is the mean of 15 actions, these are four.
    assert len(line(text, "mean of actions ")) == 7
    assert len(line(text, "all frames")) == 7
    every = make_dataset(
        *(make_sequence(s, a, frames=2) for s in ("S9", "S11") for a in ACTIONS), keypoints=CPN
    )
    whole = [replace(e, frames=81) for e in evaluate(make_checkpoint(), every)]
    text = tables.text(whole, ["action"])
    assert line(text, "mean of actions ")[7:] == ["44.3", "read", "34.6", "unverified"]
    assert len(line(text, "all frames")) == 7
    printed = tables.literature(both[0])
    assert line(printed, "VideoPose3D")[:5] == ["243", "46.8", "read", "36.5", "read"]
    # For another window, the paper's numbers are not next to ours, but still below.
    assert "read" not in tables.text([replace(both[0], frames=9 + 2)], ["action"])
    fewer = replace(both[0], all_joints=False)
    assert "unverified" not in tables.text([fewer], ["action"])
    assert tables.literature(fewer).startswith("Published figures are means over all joints")
    assert tables.literature(replace(both[0], dataset="mocap")) == ""


@pytest.mark.parametrize("subjects", [("S9",), ("S9", "S11", "S1")])
def test_the_papers_numbers_are_only_next_to_their_subjects(subjects: tuple[str, ...]) -> None:
    dataset = make_dataset(
        *(make_sequence(s, a, frames=2) for s in subjects for a in ACTIONS), keypoints=CPN
    )
    found = [replace(e, frames=81) for e in evaluate(make_checkpoint(), dataset)]
    text = tables.text(found, ["action"])
    assert "mean of actions" in text
    assert "44.3" not in text
    assert "unverified" not in text
    assert tables.literature(found[0]) == (
        "Published figures are for the test subjects S9, S11, so they are not shown."
    )


def test_a_row_of_one_subject_needs_no_others() -> None:
    def text(subject: str) -> str:
        sequence = make_sequence(subject, "Walking 1 chunk0", joints=15)
        dataset = make_dataset(sequence, name="humaneva", skeleton=HUMANEVA15)
        found = evaluate(make_checkpoint(skeleton=HUMANEVA15), dataset)
        return tables.text([replace(e, frames=43) for e in found], ["action"])

    assert line(text("Validate/S1"), "S1 Walk")[7:9] == ["16.3", "unverified"]
    assert len(line(text("Train/S1"), "S1 Walk")) == 7


def test_mpi_inf_3dhp_names_the_protocol_of_each_figure() -> None:
    dataset = make_dataset(
        *(make_sequence(f"TS{i}", f"TS{i}", frames=10 + i) for i in range(1, 7)),
        name="mpi_inf_3dhp",
        skeleton=MPI_INF_3DHP,
    )
    found = [
        replace(e, frames=9) for e in evaluate(make_checkpoint(skeleton=MPI_INF_3DHP), dataset)
    ]
    text = tables.text(found, ["action"])
    # 77.1 was measured with another protocol, so it is not next to ours.
    assert line(text, "all frames ")[7:] == ["95.4", "read", "63.2", "read", "57.7", "read"]
    some = [replace(e, sequences=e.sequences[:2]) for e in found]
    assert len(line(tables.text(some, ["action"]), "all frames ")) == 7
    assert text.index("TS1") < text.index("TS2") < text.index("mean of subjects")
    printed = tables.literature(found[0])
    assert "the papers' own protocol, not this one" in printed
    assert "77.1 read" in printed


def test_humaneva_has_additional_means() -> None:
    dataset = make_dataset(
        *(
            make_sequence(f"Validate/S{s}", f"{action} 1 chunk0", joints=15)
            for s in (1, 2, 3)
            for action in ("Walking", "Jog", "Box")
        ),
        name="humaneva",
        skeleton=HUMANEVA15,
    )
    found = evaluate(make_checkpoint(skeleton=HUMANEVA15), dataset)
    text = tables.text([replace(e, frames=43) for e in found], ["action"])
    assert line(text, "S1 Walk")[7:] == ["16.3", "unverified", "14.4", "unverified"]
    assert line(text, "mean Walk and Jog")[7:] == ["21.6", "read", "20.1", "unverified"]
    assert len(line(text, "mean Box")) == 7
    fewer = [replace(e, frames=43, sequences=e.sequences[:-3]) for e in found]
    assert len(line(tables.text(fewer, ["action"]), "mean Walk and Jog")) == 7
    assert "2D joints unknown" in tables.literature(found[0])


def test_other_tables(both: tuple[Evaluation, ...]) -> None:
    joints = tables.text(both, ["joint"])
    assert len(joints.split("\n\n")[1].splitlines()) == 18
    matrix = tables.text(both, ["joint-action"])
    column = list(both[0].groups).index("Sitting")
    expected = f"{both[0].per_joint('mpjpe_mm', 'Sitting')[13]:.1f}"
    assert line(matrix, "LWrist")[column] == expected
    assert "S11/WalkDog/0" in tables.text(both, ["sequence"])
    fewer = tables.text(evaluate(make_checkpoint(), h36m_like(), joints=14), [])
    assert "14 joints (without Hip, Spine, Neck/Nose)" in fewer


def test_comparison(both: tuple[Evaluation, ...]) -> None:
    text = tables.comparison([both[0], replace(both[0], label="other", frames=9)])
    assert line(text, "tiny")[0] == "81"
    assert line(text, "other")[1] == f"{both[0].value('mpjpe_mm'):.1f}"


def test_csv(both: tuple[Evaluation, ...], tmp_path: Path) -> None:
    tables.write_csv(tmp_path / "e.csv", both)
    with open(tmp_path / "e.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))

    def pick(**wanted: Any) -> dict[str, str]:
        (row,) = [r for r in rows if all(r[key] == value for key, value in wanted.items())]
        return row

    e = both[0]
    assert pick(flip="False", table="mean of groups")["weights"] == "tiny"
    mean = pick(flip="True", table="mean of groups")
    assert float(mean["mpjpe_mm"]) == pytest.approx(e.value("mpjpe_mm"), abs=1e-3)
    cell = pick(flip="True", table="joint and group", joint="Head", group="WalkDog")
    assert float(cell["p_mpjpe_mm"]) == pytest.approx(
        e.per_joint("p_mpjpe_mm", "WalkDog")[10], abs=1e-3
    )
    sequence = pick(flip="True", table="sequence", subject="S9", action="Sitting 2", camera="1")
    assert sequence["frames"] == str(len(e.sequences[11]))
    assert len(rows) == 2 * (2 + 4 + 17 + 4 * 17 + 18)


def test_json_has_the_data_of_the_plots(both: tuple[Evaluation, ...], tmp_path: Path) -> None:
    tables.write_json(tmp_path / "e.json", both)
    content = json.loads((tmp_path / "e.json").read_text())
    assert content["format"] == "vidpose-evaluation/1"
    first, plain = content["evaluations"]
    assert (first["flip"], plain["flip"]) == (True, False)
    assert first["headline"]["metric"] == "mpjpe_mm"
    assert first["headline"]["value"] == pytest.approx(both[0].value("mpjpe_mm"), abs=1e-3)
    assert len(first["headline"]["interval_95"]) == 2
    np.testing.assert_allclose(
        first["per_joint"]["mpjpe_mm"], both[0].per_joint("mpjpe_mm"), atol=1e-3
    )
    matrix = first["per_joint_and_group"]["mpjpe_mm"]
    assert {len(column) for column in matrix.values()} == {17}
    worst = first["worst_sequences"][0]
    assert len(worst["seconds"]) == len(worst["mpjpe_mm"])
    assert first["cumulative"]["percent"] == sorted(first["cumulative"]["percent"])
    assert {figure["mark"] for figure in content["published"]} == {"read", "unverified"}


def test_undefined_numbers_are_null(tmp_path: Path) -> None:
    found = evaluate(make_checkpoint(), make_dataset(make_sequence(frames=1)), label="x")
    tables.write_json(tmp_path / "e.json", found)
    content = json.loads((tmp_path / "e.json").read_text(), parse_constant=pytest.fail)
    assert content["evaluations"][0]["mean_of_groups"]["mpjve_mm"] is None
    assert content["evaluations"][0]["headline"]["interval_95"] is None
    tables.write_csv(tmp_path / "e.csv", found)
    assert "nan" not in (tmp_path / "e.csv").read_text()
    assert line(tables.text(found), "all frames")[4] == "-"
