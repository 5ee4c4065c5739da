from pathlib import Path

import pytest

from tests.charts import pixels
from vidpose.errors import DataError
from vidpose.render.plots import COLOURS
from vidpose.training.learning_curve import learning_curve

HEADER = "epoch,lr,train_mpjpe_mm,val_mpjpe_mm,val_p_mpjpe_mm,seconds\n"


@pytest.mark.parametrize("epochs", [1, 3, 60])
def test_learning_curve(tmp_path: Path, epochs: int) -> None:
    log = tmp_path / "log.csv"
    lines = [
        f"{i + 1},{2e-4 * 0.98**i},{90 / (i + 1)},{100 - i},{80 - i},9\n" for i in range(epochs)
    ]
    log.write_text(HEADER + "".join(lines))
    out = learning_curve(log, tmp_path / "curve.png")
    for colour in COLOURS[:3]:
        assert pixels(out, colour) > 50


def test_learning_curve_without_validation(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(HEADER + "1,0.1,90,,,9\n2,0.1,80,,,9\n")
    assert learning_curve(log, tmp_path / "curve.png").exists()


def test_a_log_that_is_none(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    for text, message in (
        (HEADER, "no epoch yet"),
        ("epoch,loss\n1,2\n", "is no log of `vidpose train`"),
        (HEADER + "1,x,90,1,1,9\n", "is no log of `vidpose train`"),
        (HEADER + "1,0.1\n", "nothing"),
    ):
        log.write_text(text)
        if message == "nothing":  # a line cut off by a full disk
            learning_curve(log, tmp_path / "curve.png")
            continue
        with pytest.raises(DataError, match=message):
            learning_curve(log, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
