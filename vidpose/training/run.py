"""The implementation of `vidpose train`: open a dataset by name and train on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from vidpose.datasets import is_synthetic, open_dataset
from vidpose.datasets.marks import NOT_REAL
from vidpose.datasets.mocap import TEST
from vidpose.datasets.motion_clips import not_upright, read_folder
from vidpose.errors import UsageError, VidposeError
from vidpose.events import Info, Report, Warn, ignore
from vidpose.models import MODELS, Checkpoint, load_checkpoint
from vidpose.models.blocks import TransformerConfig
from vidpose.options import flag
from vidpose.training.batches import TRAINING, TrainingData, dataset_data, mocap_data
from vidpose.training.distributed import World
from vidpose.training.learner import network_class, network_sizes
from vidpose.training.loop import train
from vidpose.training.options import TrainOptions
from vidpose.training.recipe import Recipe, recipe_for
from vidpose.training.run_folder import RunFolder
from vidpose.utils.progress import Progress, silent
from vidpose.zoo.registry import find_weights


def run(
    options: TrainOptions,
    world: World,
    *,
    report: Report = ignore,
    progress: Progress = silent,
    **changes: Any,
) -> Path:
    """Train on a dataset by name; see also `train`.

    Args:
        options: data, output folder, initial weights.
        world: the device, and the processes that train together.
        report: receives events for the user.
        progress: wraps the steps of an epoch.
        changes: fields of the recipe to change.

    Returns:
        The path of the best checkpoint.

    Raises:
        UsageError: an option has no effect here, or is invalid.
    """
    if not world.is_first:
        report, progress = ignore, silent
    folder = RunFolder(options.out)
    folder.check(options.resume)
    if options.resume and world.any_of(not folder.is_usable())[0]:
        if options.init_from is None and folder.began_with_weights():
            raise UsageError(
                f"{folder.state} is damaged or holds no run, so this run has to start again; add "
                "--init-from with its initial weights."
            )
        if world.is_first:
            aside = folder.set_aside()
            report(
                Warn(
                    f"{folder.state} is damaged or holds no run, so this run starts again; the old "
                    f"files are in {aside}."
                )
            )
        world.any_of(False)  # the other processes wait until the files are moved
        options = replace(options, resume=False)
    usual = recipe_for(options.dataset, options.recipe, options.keypoints)
    recipe = replace(usual, **changes)
    if options.resume:
        recipe = folder.recipe_as_begun(recipe)
    check_effects(options, recipe, changes)
    report(Info(_summary(options, usual, changes, world)))
    if recipe.select_on == "test":
        report(
            Warn(
                "the best weights are chosen on the test subjects, as in the official code, so the "
                "test error is too optimistic for new people."
            )
        )
    init = None if options.init_from is None else load_checkpoint(find_weights(options.init_from))
    if init is not None and not options.resume:
        _warn_about_normalisation(init, options, recipe, report)
    data = open_data(options, recipe, world, progress, report)
    best = train(
        data,
        options.out,
        recipe,
        world,
        resume=options.resume,
        init=init,
        report=report,
        progress=progress,
    )
    if world.is_first:
        from vidpose.training.learning_curve import learning_curve

        try:
            learning_curve(folder.log, folder.curve)
        except VidposeError as error:  # the run itself is complete
            report(Warn(str(error)))
    return best


def open_data(
    options: TrainOptions,
    recipe: Recipe,
    world: World,
    progress: Progress,
    report: Report = ignore,
) -> TrainingData:
    """Open the training data that the options name."""
    by_count = options.resume and RunFolder(options.out).splits_by_count()
    if options.dataset == "mocap":
        folders = [options.folder, *filter(None, [options.more_data])]
        sources = [
            read_folder(folder, lambda paths: progress(paths, len(paths), "reading"))
            for folder in folders
        ]
        if lying := not_upright(clip for clips in sources for clip in clips):
            report(
                Warn(
                    f"the head is not above the feet in most frames of {', '.join(lying)}; check "
                    "that z is up (docs/datasets.md)."
                )
            )
        begun = RunFolder(options.out).variation_as_begun() if options.resume else None
        return mocap_data(
            sources[0],
            options.test_subjects or TEST,
            recipe,
            world.device,
            vary=begun or replace(TRAINING, mixed=recipe.mixed),
            more=sources[1] if len(sources) > 1 else (),
            val_subjects=options.val_subjects or (),
            by_count=by_count,
        )
    dataset = open_dataset(
        options.dataset,
        options.folder,
        keypoints=options.keypoints,
        test_subjects=options.test_subjects,
        train_subjects=options.train_subjects,
        actions=options.actions,
    )
    files = options.out / f"windows-{world.rank}" if options.on_host else None
    return dataset_data(
        dataset, recipe, world.device, folder=files, by_count=by_count, report=report
    )


def check_effects(options: TrainOptions, recipe: Recipe, changes: dict[str, Any]) -> None:
    """Raise UsageError for an option that was given but has no effect."""
    given = {name for name, value in vars(options).items() if value not in (None, False)}
    for names, why in _without_effect(options, recipe):
        for name in sorted(names & (given | changes.keys())):
            raise UsageError(f"{flag(name)} has no effect {why}; leave it out.")
    if recipe.single_frame and options.init_from is None and not options.resume:
        raise UsageError(
            "--single-frame does not train the temporal attention; give --init-from weights "
            "that were trained on windows."
        )


def _without_effect(options: TrainOptions, recipe: Recipe) -> Iterator[tuple[set[str], str]]:
    """Yield the names of options without effect, and the reason."""
    kind = network_class(recipe)
    if options.dataset == "mocap":
        data = {"keypoints", "on_host", "train_subjects", "actions", "mirror"}
        yield data, "on motion capture"
    else:
        names = {"fps", "windows", "even_subjects", "mixed", "single_frame", "val_windows"}
        yield names | {"more_data", "more_share", "val_subjects"}, "except on motion capture"
    if options.more_data is None:
        yield {"more_share"}, "without --more-data"
    if options.val_subjects is not None:
        yield {"val_fraction"}, "with --val-subjects"
    if recipe.select_on == "test":
        yield {"val_fraction", "val_subjects"}, "with --select-on test"
    yield {"lr_decay" if recipe.schedule == "cosine" else "warmup"}, f"with {recipe.schedule} rates"
    if recipe.velocity and (recipe.single_frame or not kind.all_frames):
        yield {"velocity"}, "on a network that takes or predicts single frames"
    if not issubclass(kind.config_class, TransformerConfig):
        yield {"compile"}, f"on the network {recipe.model}, which has no transformer blocks"
    sizes = {name for model in MODELS.values() for name in network_sizes(model)}
    yield sizes - network_sizes(kind), f"on the network {recipe.model}"


def _warn_about_normalisation(
    init: Checkpoint, options: TrainOptions, recipe: Recipe, report: Report
) -> None:
    """Warn if the initial weights know other inputs; both versions of "person" are alike."""
    theirs, ours = init.normalisation, recipe.normalisation
    if theirs.partition("-")[0] == ours.partition("-")[0]:
        return
    # Virtual cameras have no image, which "screen" needs.
    advice = "" if options.dataset == "mocap" else f"; add --normalisation {theirs} to keep theirs"
    report(
        Warn(
            f"{init.path} was trained with the normalisation {theirs} and this run has {ours}, so "
            f"little of what the weights have learned applies{advice}."
        )
    )


def _summary(options: TrainOptions, usual: Recipe, changes: dict[str, Any], world: World) -> str:
    changed = [
        f", {name} {value}" for name, value in changes.items() if getattr(usual, name) != value
    ]
    processes = f", {world.size} processes" if world.size > 1 else ""
    kind = f" ({NOT_REAL})" if is_synthetic(options.dataset, options.folder) else ""
    return (
        f"Training on {options.dataset} in {options.folder}{kind}, recipe "
        f"{usual.name}{''.join(changed)}. Device: {world.device.type} ({world.why}){processes}. "
        f"Run: {options.out}"
    )
