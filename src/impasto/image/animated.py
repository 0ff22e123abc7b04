"""Files of moving pictures: GIF, WebP and MP4 that show a change, and then hold the last picture. No torch here."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from impasto.errors import MissingExtraError

__all__ = ["ENCODERS", "EXTENSIONS", "FRAMES", "import_av"]

FIRST_SECONDS, SECONDS, LAST_SECONDS = 0.5, 6.0, 2.0
"""How long the first picture, the change and the finished picture are shown."""

FRAMES = 60
"""Frames of GIF and WebP: 10 a second, which every viewer keeps up with."""

VIDEO_RATE = 25
"""Frames a second of MP4."""

Frames = Callable[[int], Iterator[Image.Image]]


def import_av() -> Any:
    """Return PyAV; raise MissingExtraError if it is not here, or has no encoder for H.264."""
    try:
        import av

        av.Codec("libx264", "w")
    except (ImportError, ValueError):  # ValueError: built without that encoder
        raise MissingExtraError(
            "An .mp4 needs PyAV with the encoder libx264: run\n    pip install 'impasto[video]'\n"
            "or use .webp or .gif for the animation."
        ) from None
    return av


def _gif(frames: Frames) -> bytes:
    """One palette for all frames and no dithering, the noise of which would flicker and cost a third more bytes."""
    pictures = list(frames(FRAMES))
    palette = _palette(pictures)
    return _animated([picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures], "GIF")


def _palette(pictures: list[Image.Image]) -> Image.Image:
    """256 colors for every sixth picture, and for the last one, which is looked at longest, as for three of them."""
    sample = [np.asarray(picture)[::3, ::3] for picture in (*pictures[::6], *pictures[-1:] * 3)]
    # Until so few pixels change their color: the last ones take most of the time and are not seen.
    return Image.fromarray(np.concatenate(sample)).quantize(256, Image.Quantize.MEDIANCUT, kmeans=1000)


def _webp(frames: Frames) -> bytes:
    """Every frame a key frame: else small changes are held back, then made up for in one jump, to save a tenth."""
    return _animated(list(frames(FRAMES)), "WEBP", quality=85, method=4, kmin=0, kmax=1)


def _animated(pictures: list[Image.Image], format: str, **options: Any) -> bytes:
    """A file that repeats for ever."""
    milliseconds = [round(1000 * seconds) for seconds in _shown(len(pictures))]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, format, save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0, **options
    )
    return buffer.getvalue()


def _shown(count: int) -> list[float]:
    """For how many seconds each of ``count`` frames is shown."""
    return [FIRST_SECONDS, *[SECONDS / count] * (count - 2), LAST_SECONDS]


def _mp4(frames: Frames) -> bytes:
    """H.264 as every browser and phone plays it; the index comes first, so that it starts before all of it is there."""
    av = import_av()
    count = round(SECONDS * VIDEO_RATE)
    with tempfile.TemporaryDirectory() as folder:  # to move the index, FFmpeg has to read the file again
        path = Path(folder) / "animation.mp4"
        with av.open(str(path), "w", options={"movflags": "faststart"}) as file:
            stream = _h264(file, next(frames(2)).size)
            for picture, seconds in zip(frames(count), _shown(count), strict=True):
                for _ in range(round(seconds * VIDEO_RATE)):
                    frame = av.VideoFrame.from_image(picture)
                    frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
                    file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        return path.read_bytes()


def _h264(file: Any, size: tuple[int, int]) -> Any:
    """A stream of (width, height) ``size``; one thread, because the bytes depend on how many there are.

    Frames predicted from both sides ("bf") would stand still beside the others: changes are small here. Players
    disagree about the colors of a video that does not say how they are coded: as those of HDTV, BT.709.
    """
    stream = file.add_stream("libx264", rate=VIDEO_RATE, options={"crf": "18", "bf": "0", "threads": "1"})
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.color_primaries = context.color_trc = context.colorspace = context.color_range = 1  # of ITU-T H.273
    return stream


EXTENSIONS = {".gif": "GIF", ".webp": "WEBP", ".mp4": "MP4"}

ENCODERS: dict[str, Callable[[Frames], bytes]] = {"GIF": _gif, "WEBP": _webp, "MP4": _mp4}
