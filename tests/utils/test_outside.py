from pathlib import Path

import pytest

from vidpose.errors import LONGEST_SENTENCE, DataError, VidposeError
from vidpose.utils.outside import name_of, number, parse_json, parse_object, reading, whole


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        (ValueError("bad\n  header."), "a.x is no x (bad header); get another."),
        (RecursionError("maximum"), "a.x is no x (it is nested too deeply); get another."),
        (MemoryError(), "a.x is no x (it asks for more memory than there is); get another."),
        (KeyError("fps"), "a.x is no x (fps is missing); get another."),
        (StopIteration(), "a.x is no x (its reader raised StopIteration); get another."),
        (FileNotFoundError(), "a.x does not exist; get another."),
        (IsADirectoryError(), "a.x is a folder, not a file; get another."),
        (PermissionError(), "a.x cannot be read; change its permissions."),
        (DataError("as it is."), "as it is."),
    ],
)
def test_any_exception_becomes_a_sentence(raised: Exception, sentence: str) -> None:
    with (
        pytest.raises(DataError) as error,
        reading(Path("a.x"), DataError, "is no x", "get another"),
    ):
        raise raised
    assert str(error.value) == sentence


def test_sentences_are_short_and_printable() -> None:
    text = str(VidposeError("a" * 100_000 + "; do this."))
    assert len(text) < LONGEST_SENTENCE + 10
    assert text.endswith("; do this.")
    assert str(VidposeError("\x1b[2J\udcff é")) == "\\x1b[2J\\udcff é"


def test_json_of_any_kind() -> None:
    assert parse_json('{"a": [1, 2.5, "é"]}') == {"a": [1, 2.5, "é"]}
    assert parse_json(f"[{'9' * 400}, -{2**62}]") == [float("inf"), -(2**62)]
    assert parse_json('"\\ud83d\\ude00"') == "\U0001f600"
    for text in ("[" * 100_000, '"\\ud83d"', "nothing", b"\xff\xfe\x00"):
        with pytest.raises(ValueError):
            parse_json(text)
    with pytest.raises(ValueError, match="meta: not a JSON object"):
        parse_object("meta", "[]")
    with pytest.raises(ValueError, match="meta: it is nested too deeply"):
        parse_object("meta", '{"a": ' + "[" * 100 + "]" * 100 + "}")


def test_values_in_bounds() -> None:
    assert number("fps", 30, 1, 100) == 30.0
    assert whole("width", 3.0, 1, 100) == 3
    assert name_of("subject", "Ana é") == "Ana é"
    for value in (0, 101, float("nan"), float("inf"), True, None, "30", [1], 10**400):
        with pytest.raises(ValueError, match="fps: expected a number from 1 to 100"):
            number("fps", value, 1, 100)
    with pytest.raises(ValueError, match="whole"):
        whole("width", 2.5, 1, 100)
    for name in ("\x1b[2J", "x" * 300, "\ud800", "two\nlines"):
        with pytest.raises(ValueError, match="subject: expected a short name"):
            name_of("subject", name)
