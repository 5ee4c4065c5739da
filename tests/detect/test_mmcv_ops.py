from __future__ import annotations

import importlib.util
import pkgutil
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from vidpose.detect import mmcv_ops
from vidpose.detect.mmcv_ops import EXTENSION, StandIn, nms, prepare_mmpose, provide_ops, quiet
from vidpose.errors import MissingDependencyError

# As wide as high, counted as pixels 0 to 9; the second shares 5 columns with the first.
BOXES = torch.tensor([[0.0, 0, 9, 9], [5, 0, 14, 9], [100, 100, 109, 109]])
SCORES = torch.tensor([0.5, 0.9, 0.7])


@pytest.mark.parametrize(
    ("offset", "threshold", "kept"),
    [
        (0, 0.28, [1, 2]),  # 4 x 9 shared of 126: 0.286
        (0, 0.29, [1, 2, 0]),
        (1, 0.29, [1, 2]),  # 5 x 10 shared of 150: 0.333
        (1, 0.34, [1, 2, 0]),
    ],
)
def test_boxes_too_alike_are_dropped(offset: int, threshold: float, kept: list[int]) -> None:
    assert nms(BOXES, SCORES, threshold, offset).tolist() == kept


def test_no_boxes() -> None:
    assert nms(BOXES[:0], SCORES[:0], 0.5, 0).tolist() == []


def test_mmcv_thresholds_and_counts_around_it() -> None:
    """Indices refer to all boxes, although those below the threshold are removed first."""
    prepare_mmpose()
    with quiet():
        from mmcv.ops import nms as mmcv_nms
    found, positions = mmcv_nms(BOXES, SCORES, 0.2, score_threshold=0.6)
    assert positions.tolist() == [1, 2]
    torch.testing.assert_close(found[:, 4], SCORES[positions])
    assert mmcv_nms(BOXES, SCORES, 0.9, max_num=2)[1].tolist() == [1, 2]


def test_any_other_operation_says_what_to_install() -> None:
    with pytest.raises(MissingDependencyError, match=r"'roi_align_forward'.*mmcv==2\.1\.0"):
        StandIn().roi_align_forward(1, size=2)


def test_it_is_no_loader_of_extensions() -> None:
    assert importlib.util.find_spec(EXTENSION) is not None
    assert not hasattr(StandIn(), "__path__")


def test_a_compiled_extension_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = ModuleType(EXTENSION)
    monkeypatch.setitem(sys.modules, EXTENSION, compiled)
    provide_ops()
    assert sys.modules[EXTENSION] is compiled


def test_a_compiled_extension_not_yet_imported_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, EXTENSION, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    provide_ops()
    assert EXTENSION not in sys.modules


def test_removed_python_functions_are_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pkgutil, "find_loader", raising=False)
    mmcv_ops.provide_find_loader()
    assert pkgutil.find_loader("json") is not None
    assert pkgutil.find_loader("no_such_module") is None


def test_an_xtcocotools_that_is_installed_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "xtcocotools"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    mmcv_ops.provide_coco_tools()
    assert "xtcocotools" not in sys.modules


def test_the_stand_in_has_everything_mmpose_imports() -> None:
    prepare_mmpose()
    import xtcocotools.mask
    from xtcocotools.coco import COCO
    from xtcocotools.cocoeval import COCOeval

    assert {COCO.__module__, COCOeval.__module__} == {"vidpose.detect.coco_tools"}
    assert xtcocotools.mask.area(xtcocotools.mask.encode(np.ones((3, 4), "u1", order="F"))) == 12


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmcv_ops, "missing_packages", lambda: ["mmdet", "mmpose"])
    with pytest.raises(MissingDependencyError, match=r"mmdet, mmpose are .*mmpose==1\.3\.2"):
        prepare_mmpose()


def test_a_first_import_prints_nothing() -> None:
    """In a new interpreter, where warnings are errors."""
    code = """
from vidpose.detect.mmcv_ops import prepare_mmpose, quiet
prepare_mmpose()
with quiet():
    import mmdet.models, mmpose.models
"""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
