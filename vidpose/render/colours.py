"""All colours of the overlay video and of its 3D scene.

Each person has a colour of `PALETTE`, by id. The left arm and leg have a lighter shade of it, the
right ones a darker shade (`side_colours`).
"""

from __future__ import annotations

from vidpose.skeleton import H36M17

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

PALETTE: tuple[Colour, ...] = (
    (242, 142, 30),  # orange
    (38, 139, 226),  # blue
    (64, 176, 88),  # green
    (214, 72, 126),  # pink
    (136, 96, 214),  # violet
    (28, 174, 176),  # teal
    (222, 84, 62),  # red
    (166, 148, 44),  # olive
)
WHITE: Colour = (255, 255, 255)
BLACKISH: Colour = (16, 16, 32)
LEFT_LIGHTER, RIGHT_DARKER = 0.5, 0.4
"""Fraction of white mixed into the colour of left limbs, and of black for right limbs."""

# The overlay on the video frame.
OVERLAY_OUTLINE: Colour = (18, 20, 26)

# The 3D scene.
SKY: Colour = (246, 247, 250)
FLOOR: Colour = (224, 228, 234)
GRID: Colour = (178, 186, 198)
SCENE_OUTLINE: Colour = (20, 24, 34)
OUTLINE_SHARE = 0.62
"""Fraction of the outline colour mixed into a limb's."""
SHINE_SHARE = 0.4
"""Fraction of white mixed in for highlights."""
HAZE_SHARE = 0.35
"""Fraction of the sky colour mixed into the farthest people."""
INTERPOLATED_SHARE = 0.55
"""Fraction of the sky colour mixed into interpolated people."""

# The captions of the 3D panel.
INK: Colour = (86, 96, 112)
LEGEND: Colour = (140, 148, 160)

LEFT, CENTRE, RIGHT = 0, 1, 2


def side(joint: int) -> int:
    """LEFT, CENTRE or RIGHT."""
    return LEFT if joint in H36M17.left else RIGHT if joint in H36M17.right else CENTRE


BONE_SIDES = tuple(side(child) for _, child in H36M17.bones)
JOINT_SIDES = tuple(side(joint) for joint in range(len(H36M17)))


def mix(colour: Colour, other: Colour, amount: float) -> Colour:
    """Blend `colour` with `amount` (0 to 1) of `other`."""
    (r, g, b), (red, green, blue) = colour, other
    return (
        round(r + (red - r) * amount),
        round(g + (green - g) * amount),
        round(b + (blue - b) * amount),
    )


def side_colours(base: Colour) -> tuple[Colour, Colour, Colour]:
    """The shades of a colour for LEFT, CENTRE and RIGHT parts."""
    return mix(base, WHITE, LEFT_LIGHTER), base, mix(base, BLACKISH, RIGHT_DARKER)


def person_colours(person_id: int) -> tuple[Colour, Colour, Colour]:
    """A person's colours for LEFT, CENTRE and RIGHT parts, the same over the whole video."""
    return side_colours(PALETTE[person_id % len(PALETTE)])


def edge(colour: Colour) -> Colour:
    """The outline of a limb in the 3D scene."""
    return mix(colour, SCENE_OUTLINE, OUTLINE_SHARE)


def shine(colour: Colour) -> Colour:
    """The highlight of a limb in the 3D scene."""
    return mix(colour, WHITE, SHINE_SHARE)


def hazy(colour: Colour, haze: float, *, interpolated: bool) -> Colour:
    """Make a colour paler with distance (`haze`, 0 to 1), or if interpolated or not visible."""
    return mix(colour, SKY, INTERPOLATED_SHARE if interpolated else HAZE_SHARE * haze)
