"""Whether weights were trained on the people that they are measured on, as far as they say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def leaks(
    training: Mapping[str, Any], dataset: str, subjects: Iterable[str], name: str
) -> list[str]:
    """Why errors on these subjects may not be those of people never seen.

    A checkpoint says which subjects its run learned from; on motion capture an older one says
    only which it did not. What the run began with says the same of itself.

    Args:
        training: of a checkpoint.
        dataset: that is measured on.
        subjects: of it.
        name: of the weights.

    Returns:
        Sentences without a full stop, each about other subjects; none where all is well, or where
        nothing is known because other programs trained the weights.
    """
    found, left = [], set(subjects)
    for place, stage in enumerate(stages(training)):
        who = f"what {name} began with" if place else name
        if "imported_from" in stage or (stage.get("dataset") or "mocap") != dataset:
            continue
        held_out, recipe = left_out_of(stage), _mapping(stage.get("recipe"))
        chosen = left & held_out if dataset == "mocap" else left
        if recipe.get("select_on") == "test" and chosen:
            found.append(f"{who} was chosen by its error on test subjects")
            left -= chosen
        if by := left & _names(stage.get("chosen_on")):
            found.append(f"{who} was chosen by its error on subjects {', '.join(sorted(by))}")
            left -= by
        if "subjects" in stage:
            seen = left & _names(stage["subjects"])
            said = "{} was trained on {}"
        else:
            seen = left - held_out if dataset == "mocap" else set()
            said = "{} does not say that {} were held out of its training"
        if seen:
            found.append(said.format(who, f"subjects {', '.join(sorted(seen))}"))
        left -= seen
    return found


def left_out(training: Mapping[str, Any]) -> set[str]:
    """The subjects that a checkpoint's run, or one that it goes back to, was not trained on.

    They may have chosen the best weights.
    """
    return set().union(*map(left_out_of, stages(training)))


def left_out_of(stage: Mapping[str, Any]) -> set[str]:
    """`left_out` of one run alone."""
    return _names(stage.get("held_out") or _mapping(stage.get("recipe")).get("held_out"))


def stages(training: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What a checkpoint says of its training, then what that began with says, and so on."""
    yield training
    while training := _mapping(training.get("began_with")):
        yield training


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _names(value: Any) -> set[str]:
    return {str(name) for name in value} if isinstance(value, list | tuple) else set()
