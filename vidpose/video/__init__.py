"""Video as a stream: frames with exact times in, frames with exact times and sound out."""

from vidpose.video.capture import Shot, Source, open_source
from vidpose.video.reader import Frame, Image, VideoReader, check_file
from vidpose.video.sound import Sound
from vidpose.video.writer import VideoWriter, is_ours

__all__ = [
    "Frame",
    "Image",
    "Shot",
    "Sound",
    "Source",
    "VideoReader",
    "VideoWriter",
    "check_file",
    "is_ours",
    "open_source",
]
