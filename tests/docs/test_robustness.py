"""docs/robustness.md says of every row which test it has."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "robustness.md"


def test_every_row_names_a_test_that_is_there() -> None:
    rows, in_table = 0, False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            in_table = False
        elif line.endswith("| test |"):
            in_table = True
        elif in_table and not line.startswith("|---"):
            rows += 1
            named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", line.rpartition(" | ")[2])
            assert named, line
            for file, test in named:
                path = ROOT / (file if "/" in file else f"tests/robustness/{file}")
                assert f"def {test}(" in path.read_text(encoding="utf-8"), (file, test)
    assert rows > 50
