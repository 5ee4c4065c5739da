from vidpose.utils.tables import aligned


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    text = aligned([["a", 1, "x"], ["bbb", "1.50", ""]], ["name", "n", "where"], left=(0, 2))
    assert text.splitlines() == [
        "name     n  where",
        "a        1  x",
        "bbb   1.50",
    ]


def test_rows_may_be_short_empty_or_indented() -> None:
    text = aligned([["a", "10"], [], ["  b"], ["007", "1e3"]])
    assert text.splitlines() == ["a     10", "", "  b", "007  1e3"]
    assert aligned([]) == ""
