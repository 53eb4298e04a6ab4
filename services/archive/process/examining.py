"""What a file is, by reading its head and decoding its beginning: never by its name or what a browser claims."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from typing import Any, Final

import av
import av.logging
from av.error import FFmpegError

from firsthand.services.archive.process import SOURCE
from firsthand.services.archive.process.child import NotMedia, Outside, TooLarge

# Containers of recordings; none of them can refer to other files or addresses, as playlists can.
_FORMATS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,ogg,wav,w64,mp3,aac,flac,mpegts,mpeg,avi,asf,flv,aiff,au,caf,amr"
)
_MOST_STREAMS: Final = 32  # a camera writes two; a meeting's recorder a handful
_OPTIONS: Final = {"format_whitelist": _FORMATS, "protocol_whitelist": "", "max_streams": str(_MOST_STREAMS)}
_TIME_BASE: Final = 1_000_000  # a container counts in microseconds (AV_TIME_BASE)
_FRAMES: Final = 3  # decoded of each kind, at the beginning
_SHORTEST: Final = 0.2  # seconds; less is no recording

# Words of a container that are about itself and not about anybody.
_TECHNICAL: Final = frozenset(
    {
        "bps", "compatible_brands", "duration", "encoder", "language", "major_brand", "minor_version",
        "number_of_bytes", "number_of_frames", "service_name", "service_provider", "software", "variant_bitrate",
        "vendor_id",
    }
)  # fmt: skip
_HANDLERS: Final = frozenset({"videohandler", "soundhandler"})
_PLACES: Final = ("location", "gps", "xyz", "geo")


def opened(source: Any, most_pixels: int) -> Any:
    """Open a recording, one thread a decoder. Raises as PyAV does."""
    # Decoders count the margins that they add: they are given twice as many, and the pictures' own size is seen below.
    bound = {"max_pixels": str(2 * most_pixels)}
    container = av.open(source, mode="r", options=_OPTIONS | bound)
    for stream in (*container.streams.video, *container.streams.audio):
        stream.codec_context.thread_count = 1  # each thread would hold pictures of its own
        stream.codec_context.options = bound  # they may grow after the beginning
    return container


def examine(outside: Outside, plan: Any) -> dict[str, object]:
    """Answer `{"tracks": [...], "extras": [...], "duration_seconds": ...}`. Raises NotMedia, TooLarge.

    `plan`: `size` of the file, and `pixels`, the most that one picture may have.
    """
    av.logging.set_level(None)
    try:
        # Opened anew for each look: not every file can be gone back in.
        return _found(lambda: opened(outside.open(SOURCE, plan["size"]), plan["pixels"]), plan["pixels"])
    except MemoryError as error:  # FFmpeg's own is one of Python's, too
        raise TooLarge from error
    except (FFmpegError, ValueError, EOFError) as error:
        raise NotMedia from error


def is_cover(stream: Any) -> bool:
    """Whether a stream of pictures is one picture that goes with a sound, such as a logo or a portrait."""
    return bool(stream.disposition & type(stream.disposition).attached_pic)


def ends(packets: Any) -> Iterator[Fraction]:
    """When each packet ends, in seconds."""
    for packet in packets:
        if packet.pts is not None:
            yield (packet.pts + (packet.duration or 0)) * (packet.time_base or Fraction(0))


def _found(open_: Callable[[], Any], most_pixels: int) -> dict[str, object]:
    with open_() as container:
        pictures = [stream for stream in container.streams.video if not is_cover(stream)]
        sounds = list(container.streams.audio)
        if not pictures and not sounds:
            raise NotMedia
        if any(stream.codec_context.width * stream.codec_context.height > most_pixels for stream in pictures):
            raise TooLarge
        first = [kind[0].index for kind in (pictures, sounds) if kind]
        tracks = [*map(_picture, pictures), *map(_sound, sounds)]
        extras, duration = sorted(_extras(container)), _declared(container)
    if not all(_decodes(open_, index) for index in first):
        raise NotMedia
    if not duration:  # as where a browser's recorder wrote none
        with open_() as container:
            duration = float(max(ends(container.demux()), default=Fraction(0)))
    if duration < _SHORTEST:
        raise NotMedia
    return {"tracks": tracks, "extras": extras, "duration_seconds": round(duration, 3)}


def _picture(stream: Any) -> dict[str, object]:
    return _track(stream, "picture") | {"width": stream.codec_context.width, "height": stream.codec_context.height}


def _sound(stream: Any) -> dict[str, object]:
    return _track(stream, "sound") | {"channels": stream.codec_context.channels}


def _track(stream: Any, kind: str) -> dict[str, object]:
    return {
        "index": stream.index,
        "kind": kind,
        "codec": stream.codec_context.name,
        "main": bool(stream.disposition & type(stream.disposition).default),
    }


def _extras(container: Any) -> set[str]:
    """What else is in the file: kinds only, as the content may be somebody's name."""
    of_stream = {"subtitle": "subtitles", "attachment": "attachments", "data": "data"}
    found = {of_stream[stream.type] for stream in container.streams if stream.type in of_stream}
    if any(is_cover(stream) for stream in container.streams.video):
        found.add("cover")
    if container.chapters():
        found.add("chapters")
    for words in (container.metadata, *(stream.metadata for stream in container.streams)):
        for name, value in words.items():
            word = name.lower()
            if any(place in word for place in _PLACES):
                found.add("place")
            elif word not in _TECHNICAL and value.strip().lower() not in _HANDLERS:
                found.add("words")
    return found


def _decodes(open_: Callable[[], Any], index: int) -> bool:
    with open_() as container:
        return any(True for _ in islice(container.decode(container.streams[index]), _FRAMES))


def _declared(container: Any) -> float:
    """By the header, in seconds; 0 where it does not say."""
    return float(container.duration / _TIME_BASE) if container.duration and container.duration > 0 else 0.0
