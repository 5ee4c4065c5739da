import csv
from pathlib import Path

import pytest
import torch

from vidpose.events import Event
from vidpose.models import JointTransformer, PoseFormer, flops
from vidpose.paper import complexity, rerun


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complexity, "SECONDS", 0.0)
    monkeypatch.setattr(complexity, "BATCH", 2)


def test_table6_has_our_numbers_and_the_papers_with_marks(tmp_path: Path) -> None:
    said: list[Event] = []
    written = rerun("table6", tmp_path, device="cpu", report=said.append)
    assert written == [tmp_path / "table6.csv", tmp_path / "table6.png"]
    text = str(said[0])
    assert "9,563,645  9.58 M unverified" in text
    assert "9,602,885  9.60 M unverified" in text
    assert "269 read" in text
    with open(written[0], newline="") as stream:
        rows = list(csv.DictReader(stream))
    main = [row for row in rows if row["measured_on"]]
    assert [row["frames"] for row in main] == ["9", "27", "81"]
    for row in main:
        assert int(row["counted"]) == flops.per_window(PoseFormer(frames=int(row["frames"])))
        assert int(row["parameters"]) == 9_558_740 + 545 * int(row["frames"])
        assert int(row["by_hand_as_the_paper"]) // 10**6 == float(row["paper_mflop"])
        assert all(float(row[speed]) > 0 for speed in ("single", "batched", "sliding"))
    assert written[1].read_bytes()[:4] == b"\x89PNG"


def test_window_from_which_all_joints_of_all_frames_cost_more() -> None:
    f = complexity.crossing()
    joints, stages = (
        [flops.per_window(kind(frames=frames)) for frames in (f - 2, f)]
        for kind in (JointTransformer, PoseFormer)
    )
    assert joints[0] < stages[0]
    assert joints[1] > stages[1]


def test_networks_are_measured_in_eval_mode() -> None:
    modes: list[bool] = []
    model = PoseFormer(frames=9, embed_dim=8, depth=1)
    model.register_forward_pre_hook(lambda module, inputs: modes.append(module.training))
    complexity.measure(model, torch.device("cpu"))
    assert modes
    assert not any(modes)
