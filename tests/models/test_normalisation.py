import math

import torch

from vidpose.models.normalisation import (
    NORMALISATIONS,
    fill_gaps,
    look_at,
    person,
    person_from_rays,
    screen,
)


def test_look_at_is_a_rotation_that_centres_the_ray() -> None:
    rays = torch.randn(20, 2, dtype=torch.float64)
    turn = look_at(rays)
    identity = torch.eye(3, dtype=torch.float64).expand(20, 3, 3)
    torch.testing.assert_close(turn @ turn.mT, identity)
    torch.testing.assert_close(torch.linalg.det(turn), torch.ones(20, dtype=torch.float64))
    direction = torch.cat([rays, torch.ones(20, 1, dtype=torch.float64)], 1)
    centred = (turn @ direction[..., None])[..., 0]
    torch.testing.assert_close(centred[:, :2], torch.zeros(20, 2, dtype=torch.float64))
    assert (centred[:, 2] > 0).all()


def test_same_person_anywhere_in_the_picture_is_the_same_input() -> None:
    """Rotating the camera about its centre changes neither input nor target."""
    joints = torch.randn(17, 3, dtype=torch.float64) * 0.4
    joints = joints - joints[:1] + torch.tensor([0.0, 0.0, 5.0], dtype=torch.float64)
    seen = []
    for ray in ([0.0, 0.0], [0.4, -0.3]):
        # The person off-axis: undo the rotation that would centre them.
        turn = look_at(torch.tensor(ray, dtype=torch.float64))
        camera = joints @ turn
        inputs, rotation = person_from_rays(camera[:, :2] / camera[:, 2:])
        relative = (camera - camera[:1]) @ rotation.mT
        seen.append((inputs, relative))
    torch.testing.assert_close(seen[0][0], seen[1][0])
    torch.testing.assert_close(seen[0][1], seen[1][1])


def test_distance_does_not_change_the_size() -> None:
    rays = torch.randn(3, 17, 2) * 0.1
    inputs, _ = person_from_rays(rays)
    torch.testing.assert_close(inputs[:, 0], torch.zeros(3, 2), atol=1e-5, rtol=0)
    others = inputs[:, 1:].norm(dim=-1).mean(dim=-1)
    torch.testing.assert_close(others, torch.ones(3))


def test_missing_joints_stay_missing() -> None:
    rays = torch.randn(2, 17, 2) * 0.1
    rays[0, 5] = math.nan
    rays[1, 0] = math.nan  # the root: replaced by the mean of the others
    inputs, rotation = person_from_rays(rays)
    assert rotation.isfinite().all()
    assert inputs.isnan().all(dim=-1).nonzero().tolist() == [[0, 5], [1, 0]]
    assert inputs.isnan().sum() == 4
    assert inputs[1, 1:].mean(dim=0).abs().max() < 0.2
    assert person_from_rays(torch.full((17, 2), math.nan))[1].isfinite().all()


def test_the_size_is_one_without_the_root_too() -> None:
    """The first version divided as if the root were visible; its checkpoints still need that."""
    rays = torch.randn(2, 17, 2, generator=torch.Generator().manual_seed(0)) * 0.1
    pixels = rays * 1000 + 499.5
    pixels[1, 0] = math.nan
    sizes = {
        name: normalise(pixels, (1000, 1000), 1000.0)[0][:, 1:].norm(dim=-1).mean(dim=-1)
        for name, normalise in NORMALISATIONS.items()
    }
    torch.testing.assert_close(sizes["person-2"], torch.tensor([1.0, 1.0]))
    torch.testing.assert_close(sizes["person"], torch.tensor([1.0, 15 / 16]))
    assert torch.equal(
        *(
            normalise(pixels[:1], (1000, 1000), 1000.0)[0]
            for normalise in (NORMALISATIONS["person"], NORMALISATIONS["person-2"])
        )
    )


def test_gaps_are_interpolated_and_the_root_is_never_shown_as_missing() -> None:
    tracks = torch.arange(5.0)[:, None, None].expand(2, 5, 3, 2).clone()
    tracks[0, 1:3, 0] = math.nan  # the root
    tracks[0, 3:, 1] = math.nan
    tracks[1, 0, 2, 1] = math.nan
    tracks[1, :, 1] = math.nan  # never there
    times = torch.tensor([0.0, 1, 2, 3, 4])
    for knows_missing in (True, False):
        filled, missing = fill_gaps(tracks, times, knows_missing=knows_missing)
        torch.testing.assert_close(filled[0, :, 0, 0], torch.arange(5.0))
        torch.testing.assert_close(filled[0, :, 1, 0], torch.tensor([0.0, 1, 2, 2, 2]))
        torch.testing.assert_close(filled[1, :, 2, 1], torch.tensor([1.0, 1, 2, 3, 4]))
        assert filled[1, :, 1].isnan().all()
        wanted = [[0, 3, 1], [0, 4, 1], [1, 0, 1], [1, 0, 2], *([1, t, 1] for t in range(1, 5))]
        assert missing.nonzero().tolist() == (sorted(wanted) if knows_missing else [])
    assert not fill_gaps(tracks, times, knows_missing=True, root=2)[1][..., 2].any()


def test_another_root_is_centred() -> None:
    inputs, _ = person_from_rays(torch.randn(3, 17, 2) * 0.1, root=14)
    torch.testing.assert_close(inputs[:, 14], torch.zeros(3, 2), atol=1e-5, rtol=0)


def test_pixels_become_rays_about_the_middle_of_the_picture() -> None:
    rays = torch.randn(2, 17, 2) * 0.1
    pixels = rays * 800 + torch.tensor([639.5, 359.5])
    for got, want in zip(person(pixels, (1280, 720), 800.0), person_from_rays(rays), strict=True):
        torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


def test_screen_maps_the_width_to_minus_one_and_one() -> None:
    corners = torch.tensor([[[0.0, 0.0], [1000.0, 500.0], [math.nan, 3.0]]])
    inputs, rotation = screen(corners, (1000, 500), 1.0)
    torch.testing.assert_close(
        inputs, torch.tensor([[[-1.0, -0.5], [1.0, 0.5], [math.nan] * 2]]), equal_nan=True
    )
    assert torch.equal(rotation, torch.eye(3)[None])
