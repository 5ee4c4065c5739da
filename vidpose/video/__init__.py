"""Read and write video as a stream of frames with exact times."""

from vidpose.video.capture import Shot, Source, open_source
from vidpose.video.colours import Image
from vidpose.video.cuts import CutFinder
from vidpose.video.pictures import PICTURE_SUFFIXES, content_hash, pictures_in
from vidpose.video.reader import Frame, VideoReader
from vidpose.video.sound import Sound
from vidpose.video.streams import check_file
from vidpose.video.writer import VideoWriter, is_ours

__all__ = [
    "PICTURE_SUFFIXES",
    "CutFinder",
    "Frame",
    "Image",
    "Shot",
    "Sound",
    "Source",
    "VideoReader",
    "VideoWriter",
    "check_file",
    "content_hash",
    "is_ours",
    "open_source",
    "pictures_in",
]
