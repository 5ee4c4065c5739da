"""People while they are filmed: a camera or a stream in, a window, and a result at the end."""

from vidpose.live.session import live

__all__ = ["live"]
