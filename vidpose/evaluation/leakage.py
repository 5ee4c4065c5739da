"""Find test subjects that a checkpoint's metadata records as used for training or selection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def leaks(
    training: Mapping[str, Any], dataset: str, subjects: Iterable[str], name: str
) -> list[str]:
    """Return reasons why errors on these subjects may not hold for unseen people.

    A checkpoint records the subjects its run was trained on; older motion-capture checkpoints
    record only the held-out subjects. A fine-tuned checkpoint also has the record of the run it
    was initialised from.

    Args:
        training: a checkpoint's training metadata.
        dataset: the dataset of the evaluation.
        subjects: the subjects of the evaluation.
        name: the name of the weights in the sentences.

    Returns:
        Sentences without a full stop, none of which repeats a subject; empty if there is no
        leak, or if another program trained the weights, so nothing is recorded.
    """
    found, unexplained = [], set(subjects)
    for number, stage in enumerate(stages(training)):
        weights = f"the initial checkpoint of {name}" if number else name
        if "imported_from" in stage or (stage.get("dataset") or "mocap") != dataset:
            continue
        held_out, recipe = held_out_in_stage(stage), _mapping(stage.get("recipe"))
        selected_on = unexplained & held_out if dataset == "mocap" else unexplained
        if recipe.get("select_on") == "test" and selected_on:
            found.append(f"{weights} was selected by its error on test subjects")
            unexplained -= selected_on
        if selected_on := unexplained & _names(stage.get("chosen_on")):
            names = ", ".join(sorted(selected_on))
            found.append(f"{weights} was selected by its error on subjects {names}")
            unexplained -= selected_on
        if "subjects" in stage:
            seen = unexplained & _names(stage["subjects"])
            reason = "was trained on subjects {}"
        else:
            seen = unexplained - held_out if dataset == "mocap" else set()
            reason = "does not record that subjects {} were held out of its training"
        if seen:
            found.append(f"{weights} {reason.format(', '.join(sorted(seen)))}")
        unexplained -= seen
    return found


def held_out_subjects(training: Mapping[str, Any]) -> set[str]:
    """Return the subjects held out of a checkpoint's run, or of one it was initialised from.

    The best epoch may have been selected on them.
    """
    return set().union(*map(held_out_in_stage, stages(training)))


def held_out_in_stage(stage: Mapping[str, Any]) -> set[str]:
    """Return the subjects held out of one run, whatever it was initialised from."""
    return _names(stage.get("held_out") or _mapping(stage.get("recipe")).get("held_out"))


def stages(training: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a checkpoint's training metadata, then that of its initialisation, and so on."""
    yield training
    while training := _mapping(training.get("began_with")):
        yield training


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _names(value: Any) -> set[str]:
    return {str(name) for name in value} if isinstance(value, list | tuple) else set()
