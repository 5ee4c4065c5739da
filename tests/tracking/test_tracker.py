from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.detect.people import detections, stick
from tests.tracking.scenes import People, Scene, times_at
from vidpose.detect.base import pose_sizes
from vidpose.tracking.tracker import MAX_GAP_S, Tracker


def identities(
    scene: Scene, times: NDArray[np.float64], noise_px: float = 2.0, shuffle: bool = True
) -> list[list[int | None]]:
    """One row per frame: the ID of every person of the scene, None where hidden."""
    rng = np.random.default_rng(5)
    tracker = Tracker()
    rows = []
    for time in times:
        people = scene(time)
        seen = [n for n, pose in enumerate(people) if pose is not None]
        if shuffle:
            rng.shuffle(seen)
        poses = [people[n] + rng.normal(0, noise_px, (17, 2)) for n in seen]  # type: ignore[operator]
        ids = tracker.update(detections([pose.astype(np.float32) for pose in poses]), time)
        row: list[int | None] = [None] * len(people)
        for n, person in zip(seen, ids, strict=True):
            row[n] = person
        rows.append(row)
    return rows


def ids_of(person: int, rows: list[list[int | None]]) -> set[int]:
    return {number for row in rows if (number := row[person]) is not None}


def crossing(time: float) -> People:
    """Two people pass each other at 1 s, at walking pace: a body height a second."""
    return stick(320 + 170 * (time - 1)), stick(320 - 170 * (time - 1), 310)


def hidden_crossing(time: float) -> People:
    """As `crossing`, the one behind hidden for 0.3 s."""
    front, behind = crossing(time)
    return front, None if 0.85 < time < 1.15 else behind


@pytest.mark.parametrize("fps", [10, 25, 29.97, 60, 120])
@pytest.mark.parametrize("scene", [crossing, hidden_crossing])
def test_people_who_cross_keep_their_ids(scene: Scene, fps: float) -> None:
    rows = identities(scene, times_at(fps))
    assert ids_of(0, rows) == {rows[0][0]}
    assert ids_of(1, rows) == {rows[0][1]}
    assert rows[0][0] != rows[0][1]


def test_people_who_cross_keep_their_ids_at_a_variable_rate() -> None:
    steps = np.random.default_rng(1).uniform(1 / 60, 1 / 10, 60)
    rows = identities(hidden_crossing, np.cumsum(steps)[np.cumsum(steps) < 2])
    assert (len(ids_of(0, rows)), len(ids_of(1, rows))) == (1, 1)


def test_the_order_of_detections_does_not_matter() -> None:
    times = times_at(30)
    in_order = identities(crossing, times, noise_px=0, shuffle=False)
    shuffled = identities(crossing, times, noise_px=0, shuffle=True)
    for a, b in zip(*(np.array(rows) for rows in (in_order, shuffled)), strict=True):
        assert (a[0] == in_order[0][0]) == (b[0] == shuffled[0][0])


@pytest.mark.parametrize(("absent_s", "people"), [(0.4, 1), (0.6, 2), (2.0, 2)])
def test_a_long_absence_ends_a_track(absent_s: float, people: int) -> None:
    def scene(time: float) -> People:
        return (None if 1 < time < 1 + absent_s else stick(300),)

    assert len(ids_of(0, identities(scene, times_at(30, 4)))) == people


@pytest.mark.parametrize("fps", [10, 30, 120])
def test_an_impossible_jump_starts_another_track(fps: float) -> None:
    def scene(time: float) -> People:
        return (stick(100 if time < 1 else 450),)

    rows = identities(scene, times_at(fps))
    assert len(ids_of(0, rows)) == 2
    assert rows[round(fps) - 1] != rows[round(fps)]


@pytest.mark.parametrize("fps", [10, 30, 120])
def test_a_runner_is_followed(fps: float) -> None:
    def scene(time: float) -> People:
        return (stick(50 + 4 * 170 * time),)  # four body heights a second

    assert len(ids_of(0, identities(scene, times_at(fps)))) == 1


def test_a_person_does_not_take_over_a_neighbour() -> None:
    """One vanishes as another appears a body height away: two people, not one."""

    def scene(time: float) -> People:
        return stick(200) if time < 1 else None, stick(370) if time >= 1 else None

    rows = identities(scene, times_at(30))
    assert ids_of(0, rows).isdisjoint(ids_of(1, rows))


def test_the_tracker_forgets_people_who_are_gone() -> None:
    tracker = Tracker()
    for time in np.arange(100) * (MAX_GAP_S + 0.1):
        tracker.update(detections([stick(300)]), time)
        tracker.update(detections([]), time + MAX_GAP_S + 0.05)
    assert len(tracker._tracks) == 1


def test_a_false_detection_on_a_person_does_not_take_over_their_track() -> None:
    """Somebody seen a moment before could be the person, and the person the false detection."""
    person = stick(320)
    size = float(pose_sizes(person[None])[0])
    right = np.array([size, 0], np.float32)
    bystander, false = person - 0.6 * right, person + 0.25 * right
    tracker = Tracker()
    for frame in range(12):
        people = [person, *{0: [bystander], 11: [false]}.get(frame, [])]
        ids = tracker.update(detections(people), frame / 30)
        assert ids[0] == 1
    assert ids == [1, 3]
