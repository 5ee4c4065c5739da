"""Drawings of a result: the overlay video and its 3D scene."""

from vidpose.render.compose import check_out, render_video, source_video
from vidpose.render.overlay import draw_people
from vidpose.render.scene import ScenePanel
from vidpose.render.view import VIEWS, View, parse_view

__all__ = [
    "VIEWS",
    "ScenePanel",
    "View",
    "check_out",
    "draw_people",
    "parse_view",
    "render_video",
    "source_video",
]
