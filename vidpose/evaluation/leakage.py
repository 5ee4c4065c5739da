"""Detection of train/test leaks: were weights trained or selected on the test subjects?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def leaks(
    training: Mapping[str, Any], dataset: str, subjects: Iterable[str], name: str
) -> list[str]:
    """List the reasons why errors on these subjects may be too optimistic for new people.

    A checkpoint records its run's training subjects; older ones for motion capture record only the
    held-out subjects. The record includes those of the initial weights.

    Args:
        training: the checkpoint's `training`.
        dataset: name of the test dataset.
        subjects: the test subjects.
        name: name of the weights, for the messages.

    Returns:
        Sentences without a full stop, each about different subjects. Empty if there is no leak, or
        if nothing is known because another program trained the weights.
    """
    found, left = [], set(subjects)
    for place, stage in enumerate(stages(training)):
        who = f"the checkpoint that {name} started from" if place else name
        if "imported_from" in stage or (stage.get("dataset") or "mocap") != dataset:
            continue
        held_out, recipe = stage_held_out(stage), _mapping(stage.get("recipe"))
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


def held_out_subjects(training: Mapping[str, Any]) -> set[str]:
    """Return the subjects that a checkpoint's run, or an earlier stage of it, held out.

    The best weights may have been chosen on them.
    """
    return set().union(*map(stage_held_out, stages(training)))


def stage_held_out(stage: Mapping[str, Any]) -> set[str]:
    """`held_out_subjects` of a single stage."""
    return _names(stage.get("held_out") or _mapping(stage.get("recipe")).get("held_out"))


def stages(training: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the training record of a checkpoint, then those of its initial weights, recursively."""
    yield training
    while training := _mapping(training.get("began_with")):
        yield training


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _names(value: Any) -> set[str]:
    return {str(name) for name in value} if isinstance(value, list | tuple) else set()
