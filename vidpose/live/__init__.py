"""Live 3D pose from a camera or a stream: a window during capture, a result at the end."""

from vidpose.live.session import live

__all__ = ["live"]
