"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tabulate import tabulate


def aligned(
    rows: Iterable[Sequence[object]], header: Sequence[str] = (), *, left: Sequence[int] = (0,)
) -> str:
    """Align columns, two spaces apart; cells are converted with `str`.

    Args:
        rows: may have different lengths; an empty one is an empty line.
        header: the first line.
        left: indices of left-aligned columns; the others are right-aligned.
    """
    lines = [[str(cell) for cell in row] for row in ([header] if header else []) + list(rows)]
    columns = max(map(len, lines), default=0)
    text = tabulate(
        [line + [""] * (columns - len(line)) for line in lines],
        tablefmt="plain",
        colalign=["left" if column in left else "right" for column in range(columns)],
        disable_numparse=True,
        preserve_whitespace=True,
    )
    return "\n".join(line.rstrip() for line in text.splitlines())
