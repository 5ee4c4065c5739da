from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training_data import tiny_dataset
from vidpose.errors import DataError
from vidpose.events import Event, Warn
from vidpose.training.batches import Shuffled, dataset_data, prefetched
from vidpose.training.distributed import World
from vidpose.training.recipe import PAPER

CPU = torch.device("cpu")
ALONE = World(CPU, "as asked")
RECIPE = replace(PAPER, frames=3, val_fraction=0.25)


class Numbers:
    """Samples whose values are their index."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return index, index * 10


def test_an_epoch_has_every_sample_once_in_a_new_order() -> None:
    source = Shuffled(Numbers(), seed=0)
    orders = []
    for epoch in (0, 1, 0):
        batches = [source.batch(epoch, step, 4, ALONE) for step in range(3)]
        assert [(batch.start, batch.size) for batch in batches] == [(0, 4), (0, 4), (0, 2)]
        orders.append(torch.cat([batch.inputs for batch in batches]).tolist())
        assert sorted(orders[-1]) == list(range(10))
    assert orders[0] == orders[2] != orders[1]
    again = Shuffled(Numbers(), seed=1).batch(0, 0, 10, ALONE)[0]
    assert again.tolist() != orders[0]


def test_processes_share_a_batch() -> None:
    source = Shuffled(Numbers(), seed=0)
    for size in (7, 2):  # one of two has nothing for somebody
        whole = source.batch(0, 0, size, ALONE).inputs
        parts = [source.batch(0, 0, size, World(CPU, "", rank, 3)) for rank in range(3)]
        assert torch.equal(torch.cat([part.inputs for part in parts]), whole)
        starts = [sum(len(part.inputs) for part in parts[:rank]) for rank in range(3)]
        assert [(part.start, part.size) for part in parts] == [(start, size) for start in starts]


def test_prefetched_batches_are_the_same() -> None:
    direct = Shuffled(Numbers(), seed=0)
    ahead = Shuffled(Numbers(), seed=0, on_host=True)
    for a, b in zip(
        prefetched(direct, 0, range(1, 3), 4, ALONE),
        prefetched(ahead, 0, range(1, 3), 4, ALONE),
        strict=True,
    ):
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])
    given_up = prefetched(ahead, 0, range(1000), 1, ALONE)
    next(given_up)
    given_up.close()  # type: ignore[attr-defined]


def test_an_error_while_prefetching_is_raised() -> None:
    class Broken(Numbers):
        def __getitem__(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(prefetched(Shuffled(Broken(), 0, on_host=True), 0, range(3), 4, ALONE))


def test_validation_is_on_held_out_takes_or_the_test_subjects() -> None:
    dataset = tiny_dataset(frames=40, takes=4)
    data = dataset_data(dataset, RECIPE, CPU)
    assert data.source.samples == 2 * 3 * 40
    assert len(data.validation) == 40
    on_test = dataset_data(dataset, replace(RECIPE, select_on="test", mirror=False), CPU)
    assert on_test.source.samples == 4 * 40
    assert len(on_test.validation) == 2 * 40
    on_test_subjects = replace(RECIPE, select_on="test")
    with pytest.raises(DataError, match="tiny has no test subjects with a frame to use; name"):
        dataset_data(replace(dataset, test=()), on_test_subjects, CPU)
    with pytest.raises(DataError, match="tiny has no training subjects with a frame to use; name"):
        dataset_data(replace(dataset, train=()), on_test_subjects, CPU)
    with pytest.raises(DataError, match="tiny has no training subjects with a frame to use; name"):
        dataset_data(replace(dataset, train=()), RECIPE, CPU)


def test_the_most_common_frame_rate_is_used_and_others_give_a_warning() -> None:
    dataset = tiny_dataset(frames=40, takes=4)
    rates = (25.0, 50.0, 49.95, 100.0)
    train = [replace(s, fps=fps) for s, fps in zip(dataset.train, rates, strict=True)]
    recipe = replace(RECIPE, select_on="test")
    said: list[Event] = []
    for name in ("custom", "mpi_inf_3dhp"):
        mixed = replace(dataset, name=name, train=tuple(train))
        assert dataset_data(mixed, recipe, CPU, report=said.append).fps == 50.0
    (warning,) = said
    assert isinstance(warning, Warn)
    assert "the files have 25 to 100 frames/s" in str(warning)
    assert "resampled to 50 frames/s, the most common rate" in str(warning)
    dataset_data(replace(dataset, name="custom"), recipe, CPU, report=said.append)
    assert len(said) == 1


def test_sequences_without_valid_frames_are_skipped() -> None:
    dataset = tiny_dataset(frames=40, takes=4)
    never = np.zeros(40, bool)
    few = replace(
        dataset,
        train=(*dataset.train[:2], *(replace(s, valid=never) for s in dataset.train[2:])),
        test=tuple(replace(s, valid=never) for s in dataset.test),
    )
    data = dataset_data(few, replace(RECIPE, mirror=False), CPU)
    assert (data.source.samples, len(data.validation)) == (40, 40)
    with pytest.raises(DataError, match="no test subjects with a frame"):
        dataset_data(few, replace(RECIPE, select_on="test"), CPU)
    with pytest.raises(DataError, match="there are 1 takes"):
        dataset_data(replace(few, train=few.train[1:]), RECIPE, CPU)
