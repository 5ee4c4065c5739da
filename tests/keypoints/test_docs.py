"""docs/keypoints.md and the help agree with the table of formats."""

from pathlib import Path

import pytest

from vidpose import keypoints
from vidpose.cli.infer import lift
from vidpose.keypoint_formats import KEYPOINT_FORMATS, NAMES, TABLES, table
from vidpose.keypoints import FORMATS, SKELETON_NAMES

DOCS = Path(__file__).parents[2] / "docs" / "keypoints.md"


@pytest.mark.parametrize("columns", TABLES)
def test_the_tables_of_the_docs(columns: tuple[str, ...]) -> None:
    wanted = f"<!-- formats: {' '.join(columns)} -->\n\n{table(*columns)}\n\n<!-- end -->"
    assert wanted in DOCS.read_text()


def test_every_format_has_a_reader() -> None:
    readers = {*keypoints._JSON, *keypoints._TABLES, "npz"}
    assert readers == {format.name for format in KEYPOINT_FORMATS}
    assert FORMATS == NAMES


def test_the_command_offers_all_formats_and_skeletons() -> None:
    options = {option.name: option for option in lift.params}
    assert tuple(options["format"].type.choices) == FORMATS  # type: ignore[attr-defined]
    for name in SKELETON_NAMES:
        assert name in getattr(options["skeleton"], "help")  # noqa: B009
        assert f"`{name}`" in DOCS.read_text()
