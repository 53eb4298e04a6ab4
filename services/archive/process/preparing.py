"""The viewing copy: one picture track, one sound track, and nothing else of what was in the file.

What browsers play is copied, packet by packet; all else is encoded, the sound in one piece and the pictures in
segments, each of which is given away as soon as it is whole. Who starts the work again names what is there already. At
last all is muxed into fragmented MP4 with an index.

There are no B-frames in what is encoded here, and a picture that needs no other every two seconds: so that a later cut
re-encodes little, and segments join without seams.
"""

import heapq
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import Any, Final

import av
import av.logging
from av.error import FFmpegError
from av.filter import Graph

from firsthand.services.archive.process import PICTURES, RESULT, SOUND, SOURCE
from firsthand.services.archive.process.blurring import Area, blurred
from firsthand.services.archive.process.child import Given, NotMedia, Outside, TooLarge
from firsthand.services.archive.process.examining import opened
from firsthand.services.archive.process.filters import pulled, ready
from firsthand.services.archive.process.fragments import Index, Indexed, Measure, clock_of

_LONG, _SHORT = 1920, 1080  # pixels of the longer and of the shorter side, at most
_CLOCK: Final = 90_000  # ticks a second of encoded pictures
_KEY_EVERY: Final = 2  # seconds
_LONGEST_GOP: Final = 12  # seconds between two pictures to which a player can jump, where they are copied
_FASTEST: Final = Fraction(1, 62)  # seconds between two pictures; what comes faster is left out
_SOUND_RATE: Final = 48_000
_MISSING: Final = 1.0  # seconds by which a file may be shorter than its header says
_TELL_LENGTH: Final = ("mov", "matroska", "asf", "avi", "flac", "wav")  # containers whose headers know it
_STEREO: Final = 2  # channels
# What sets a picture upright that is to be turned by so many degrees, counter-clockwise.
_TURNS: Final = {90: (("transpose", "cclock"),), 270: (("transpose", "clock"),), 180: (("hflip",), ("vflip",))}
# Types of NAL units (H.264, table 7-1): a picture at which a decoder may begin; supplemental information.
_IDR, _SEI, _TYPE = 5, 6, 31

# a53cc: captions that were hidden in the pictures are no picture
_H264: Final = {
    "preset": "veryfast", "crf": "23", "bf": "0", "forced-idr": "1", "threads": "1", "g": "600", "a53cc": "0",
}  # fmt: skip
_VP9: Final = {
    "deadline": "realtime", "cpu-used": "8", "crf": "33", "b": "0", "lag-in-frames": "0", "auto-alt-ref": "0",
    "threads": "1", "g": "600",
}  # fmt: skip
_MP4: Final = {
    # +bitexact: without the muxer's name and version; skip_trailer: our index stands at the beginning
    "movflags": "frag_keyframe+empty_moov+default_base_moof+skip_trailer+frag_discont",
    "min_frag_duration": "2000000",  # microseconds
    "fflags": "+bitexact",
}


@dataclass
class _Survey:
    """What a first reading of all packets found. Times are seconds by the file's own clock."""

    origin: Fraction  # when the first packet is decoded
    end: Fraction
    broke_off: bool
    copy_pictures: bool
    copy_sound: bool
    first: Any  # the first picture, decoded
    ratio: Fraction  # of the sides of its pixels

    @property
    def length(self) -> float:
        return float(self.end - self.origin)


class _Edits:
    """What is taken out, silenced and blurred, in seconds of the source: stretches in order, of which those that are
    taken out do not touch.
    """

    def __init__(self, plan: Any) -> None:
        self.cuts = [(Fraction(start, 1000), Fraction(end, 1000)) for start, end in plan["cuts"]]
        self.silences = [(Fraction(start, 1000), Fraction(end, 1000)) for start, end in plan["silences"]]
        self.blurs = [(Fraction(start, 1000), Fraction(end, 1000), tuple(area)) for start, end, *area in plan["blurs"]]
        self.voice: bool = plan["voice"]

    def shown_at(self, at: Fraction) -> Fraction | None:
        """When what is at `at` in the source is shown; None where it is taken out."""
        before = Fraction(0)
        for start, end in self.cuts:
            if at < start:
                break
            if at < end:
                return None
            before += end - start
        return at - before

    def source_at(self, at: Fraction) -> Fraction:
        """What is shown at `at`: its place in the source."""
        for start, end in self.cuts:
            if at < start:
                break
            at += end - start
        return at

    def removed(self, length: float) -> float:
        """Seconds that are taken out of a source of this length."""
        return float(
            sum((min(end, Fraction(length)) - start for start, end in self.cuts if start < length), Fraction(0))
        )

    def blurred(self, since: Fraction, until: Fraction) -> list[Area]:
        """The parts of a picture that is seen from `since` until `until`, in thousandths of its sides. A picture that
        comes too fast is left out, and the one before is seen for longer.
        """
        until += _FASTEST
        return [area for start, end, area in self.blurs if start < until and since < end]

    @property
    def change_pictures(self) -> bool:
        return bool(self.cuts or self.blurs)

    @property
    def change_sound(self) -> bool:
        return bool(self.cuts or self.silences or self.voice)

    def of_sound(self) -> list[tuple[str, str]]:
        """The filters that do it, in steps of 5 ms."""
        if not self.cuts and not self.silences:
            return []
        steps = [("asetnsamples", "n=240:p=0")]
        if self.silences:
            steps.append(("volume", f"volume=0:enable={_within(self.silences)}"))
        if self.cuts:
            steps += [("aselect", f"expr=not({_within(self.cuts)})"), ("asetpts", "N/SR/TB")]
        return steps


def _within(stretches: list[tuple[Fraction, Fraction]]) -> str:
    return "+".join(f"gte(t,{float(start):.3f})*lt(t,{float(end):.3f})" for start, end in stretches)


def prepare(outside: Outside, plan: Any) -> dict[str, object]:
    """Make the viewing copy. Raises NotMedia, TooLarge.

    `plan`: `sizes`, bytes of the files that are there, by their numbers; `picture` and `sound`, indexes of the tracks
    to take, or None; `into`, "h264" or "vp9"; `pixels`, `longest` (seconds), `segment` (seconds); `cuts` and
    `silences`, stretches of the source in milliseconds, `blurs`, such stretches with a part of the picture in
    thousandths (left, top, width, height); `voice`, whether to change the voices.
    """
    av.logging.set_level(av.logging.WARNING)
    try:
        return _Preparation(outside, plan).made()
    except MemoryError as error:
        raise TooLarge from error
    except (FFmpegError, EOFError) as error:
        raise NotMedia from error


class _Preparation:
    def __init__(self, outside: Outside, plan: Any) -> None:
        self.outside = outside
        self.sizes: dict[int, int] = {int(file): size for file, size in plan["sizes"].items()}
        self.picture: int | None = plan["picture"]
        self.sound: int | None = plan["sound"]
        self.into: str = plan["into"]
        self._pixels: int = plan["pixels"]
        self._longest: int = plan["longest"]
        self.segment: int = plan["segment"]
        self.edits = _Edits(plan)

    def made(self) -> dict[str, object]:
        survey = self._survey()
        if survey.length > self._longest:
            raise TooLarge
        segments = 0
        if self.picture is not None and not survey.copy_pictures:
            segments = self._encode_pictures(survey)
        if self.sound is not None and not survey.copy_sound and SOUND not in self.sizes:
            self._encode_sound(survey)
        tracks = _Tracks(self, survey, segments)
        index, end = self._measured(tracks)
        if not index.sizes:
            raise NotMedia
        self._mux_indexed(tracks, index, end)
        copied = [kind for kind, one in (("picture", survey.copy_pictures), ("sound", survey.copy_sound)) if one]
        pictures, sound = ("h264", "aac") if self.into == "h264" else ("vp9", "opus")
        return {
            "has_video": tracks.pictures is not None,
            "codecs": [
                *([pictures] if tracks.pictures is not None else []),
                *([sound] if tracks.sound is not None else []),
            ],
            "duration_seconds": round(float(end), 3),
            "broke_off": survey.broke_off,
            "copied": copied,
        }

    # -- reading all of it once

    def source(self) -> Any:
        return opened(self.outside.open(SOURCE, self.sizes[SOURCE]), self._pixels)

    def part(self, file: int) -> Any:
        return av.open(self.outside.open(file, self.sizes[file]), mode="r", format="nut")

    def _survey(self) -> _Survey:
        with av.logging.Capture() as said, self.source() as container:
            streams = [container.streams[index] for index in (self.picture, self.sound) if index is not None]
            pictures = None if self.picture is None else container.streams[self.picture]
            sound = None if self.sound is None else container.streams[self.sound]
            looks = _Looks(pictures) if pictures and self.into == "h264" and _may_copy_pictures(pictures) else None
            begins: dict[int, Fraction] = {}
            end, broke = Fraction(0), False
            declared = _declared(container, streams)
            for packet in _packets(container, streams):
                if packet.is_corrupt:
                    broke = True
                    continue
                at = _decoded_at(packet)
                begins.setdefault(packet.stream.index, at)
                end = max(end, _shown_at(packet) + _span(packet))
                if looks and packet.stream is pictures:
                    looks.look(packet, at)
                self.outside.progress(0.05 * float(at) / declared if declared else 0)
            if not begins:
                raise NotMedia
            origin = min(begins.values())
            first, ratio = None, Fraction(1)
            if pictures:
                ratio = pictures.sample_aspect_ratio or Fraction(1)
                first = self._first_picture(self.picture)
                if first is None:
                    self.picture = pictures = None
            if pictures is None and sound is None:
                raise NotMedia
        missing = declared - float(end - origin) if declared else 0
        return _Survey(
            origin=origin,
            end=end,
            broke_off=broke or missing > _MISSING or any("prematurely" in text for _, _, text in said),
            copy_pictures=bool(looks and looks.fit and first and _fits(first, ratio))
            and not self.edits.change_pictures,
            copy_sound=bool(sound and _may_copy_sound(sound, self.into)) and not self.edits.change_sound,
            first=first,
            ratio=ratio,
        )

    def _first_picture(self, index: int | None) -> Any:
        with self.source() as container:
            return next(_frames(container, container.streams[index]), None)

    # -- pictures

    def _encode_pictures(self, survey: _Survey) -> int:
        """Encode what no earlier run did; returns how many segments there are."""
        shown = survey.length - self.edits.removed(survey.length)
        last = max(0, int(shown - 0.001) // self.segment)
        done = 0
        while done <= last and PICTURES + done in self.sizes:
            done += 1
        if done > last:
            return last + 1
        segments = _Segments(self, done, last, survey)
        pictures = self._pictures_since(survey, self.edits.source_at(Fraction(done * self.segment)))
        for frame, at, until in _seen(pictures, survey):
            self.outside.progress(0.05 + 0.8 * float(at) / max(survey.length, 1))
            if (shown_at := self.edits.shown_at(at)) is not None:
                segments.take(frame, shown_at, self.edits.blurred(at, until))
        segments.finish()
        return last + 1

    def _pictures_since(self, survey: _Survey, since: Fraction) -> Iterator[Any]:
        """Decode the pictures from `since` seconds on; where the file cannot be entered there, all from its beginning
        is decoded, and what comes before is left out.
        """
        if since:
            with suppress(FFmpegError), self.source() as container:
                stream = container.streams[self.picture]
                place = survey.origin + since - 1
                container.seek(int(place / stream.time_base), stream=stream, backward=True)
                frames = _frames(container, stream)
                first = next(frames, None)
                if first is not None and _time(first) - survey.origin <= since:
                    yield from _not_before(since, survey.origin, first, frames)
                    return
        with self.source() as container:
            frames = _frames(container, container.streams[self.picture])
            first = next(frames, None)
            if first is not None:
                yield from _not_before(since, survey.origin, first, frames)

    # -- sound

    def _encode_sound(self, survey: _Survey) -> None:
        given = self.outside.make(SOUND)
        with self.source() as container:
            stream = container.streams[self.sound]
            mono = self.edits.voice or stream.codec_context.channels == 1
            with av.open(given, mode="w", format="nut") as out:
                encoded = out.add_stream("aac" if self.into == "h264" else "libopus", rate=_SOUND_RATE)
                encoded.layout = "mono" if mono else "stereo"
                encoded.bit_rate = 96_000 if mono else 128_000
                layout = "mono" if mono else "stereo"
                for frame in self._heard(container, stream, survey, layout):
                    out.mux(encoded.encode(frame))
                    self.outside.progress(0.85 + 0.05 * float(_time(frame)) / max(survey.length, 1))
                out.mux(encoded.encode(None))
        given.finish()
        self.sizes[SOUND] = given.size

    def _heard(self, container: Any, stream: Any, survey: _Survey, layout: str) -> Iterator[Any]:
        even = _even(_frames(container, stream), survey.origin, layout, self.edits)
        if not self.edits.voice:
            return even
        from firsthand.services.archive.process.voice import changed  # loads NumPy

        return changed(even, _SOUND_RATE)

    # -- all of it together

    def _measured(self, tracks: "_Tracks") -> tuple[Index, Fraction]:
        measure = Measure()
        end = _muxed(measure, tracks, lambda share: self.outside.progress(0.9 + 0.05 * share))
        return measure.index, end

    def _mux_indexed(self, tracks: "_Tracks", index: Index, end: Fraction) -> None:
        given = self.outside.make(RESULT)
        out = Indexed(given.write, index, int(end * clock_of(index)))
        _muxed(out, tracks, lambda share: self.outside.progress(0.95 + 0.05 * share))
        out.check()
        given.finish()


class _Looks:
    """Whether the packets of an H.264 track can stay as they are."""

    def __init__(self, stream: Any) -> None:
        self.fit = True
        self._length_size = _length_size(stream)
        self._last: Fraction | None = None
        self._key: Fraction | None = None

    def look(self, packet: Any, at: Fraction) -> None:
        try:
            self._look(packet, at)
        except ValueError:
            self.fit = False

    def _look(self, packet: Any, at: Fraction) -> None:
        units = list(_units(bytes(packet), self._length_size))
        if all(bytes(packet)[start + self._length_size] & _TYPE == _SEI for start, _ in units):
            self.fit = False  # nothing would be left of it
        if packet.has_sidedata("new_extradata") or (self._last is not None and at <= self._last):
            self.fit = False
        self._last = at
        if packet.is_keyframe:
            self._key = at
            if not self._begins_anew(bytes(packet)):
                self.fit = False
        elif self._key is None or at - self._key > _LONGEST_GOP:
            self.fit = False

    def _begins_anew(self, data: bytes) -> bool:
        return any(data[start + self._length_size] & _TYPE == _IDR for start, _ in _units(data, self._length_size))


def _length_size(stream: Any) -> int:
    """Bytes before each unit of H.264 that say how long it is (ISO/IEC 14496-15, 5.3.3.1)."""
    return (bytes(stream.codec_context.extradata)[4] & 3) + 1


def _units(data: bytes, length_size: int) -> Iterator[tuple[int, int]]:
    """Where each unit of a packet begins, its length included, and where it ends. Raises ValueError."""
    place = 0
    while place < len(data):
        end = place + length_size + int.from_bytes(data[place : place + length_size], "big")
        if end > len(data) or end <= place + length_size:
            raise ValueError("a unit reaches beyond its packet")
        yield place, end
        place = end


def _without_notes(packet: Any, length_size: int) -> Any:
    """Leave supplemental information out: a place for captions, positions and names of programs."""
    data = bytes(packet)
    kept = b"".join(
        data[start:end] for start, end in _units(data, length_size) if data[start + length_size] & _TYPE != _SEI
    )
    bare = av.Packet(kept)
    bare.pts, bare.dts, bare.time_base, bare.duration = packet.pts, packet.dts, packet.time_base, packet.duration
    bare.is_keyframe = packet.is_keyframe
    return bare


class _Segments:
    """Encodes pictures into segments, each by an encoder of its own."""

    def __init__(self, work: _Preparation, number: int, last: int, survey: _Survey) -> None:
        self._work = work
        self._number = number
        self._last_number = last
        self._scale = _Scale()
        self._size = _target(survey.first, survey.ratio)
        self._given: Given | None = None
        self._out: Any = None
        self._stream: Any = None
        self._last = Fraction(-1)
        self._key = Fraction(-_KEY_EVERY)
        self._areas: list[Area] = []

    def take(self, frame: Any, at: Fraction, areas: list[Area]) -> None:
        number = min(int(at // self._work.segment), self._last_number)
        if number < self._number or at - self._last < _FASTEST:
            return
        while self._number < number:
            self._close()
        if self._out is None:
            self._open(frame)
        picture = self._scale.scaled(frame, self._size, areas)
        picture.pts, picture.time_base = int(at * _CLOCK), Fraction(1, _CLOCK)
        # Where a blur begins or ends, nothing of the picture before may shine through.
        is_key = at - self._key >= _KEY_EVERY or areas != self._areas
        picture.pict_type = av.video.frame.PictureType.I if is_key else av.video.frame.PictureType.NONE
        self._key = at if is_key else self._key
        self._last, self._areas = at, areas
        self._out.mux(self._stream.encode(picture))

    def finish(self) -> None:
        while self._number <= self._last_number:
            self._close()

    def _open(self, frame: Any) -> None:
        self._given = self._work.outside.make(PICTURES + self._number)
        self._out = av.open(self._given, mode="w", format="nut")
        h264 = self._work.into == "h264"
        self._stream = self._out.add_stream("libx264" if h264 else "libvpx-vp9", rate=30)
        context = self._stream.codec_context
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = dict(_H264 if h264 else _VP9)
        context.time_base = Fraction(1, _CLOCK)
        context.bit_rate = 0
        for name in ("color_primaries", "color_trc", "colorspace"):
            setattr(context, name, getattr(frame, name))
        self._key = Fraction(-_KEY_EVERY)

    def _close(self) -> None:
        file = PICTURES + self._number
        if self._out is None:  # nothing was shown all the while
            given = self._work.outside.make(file)
        else:
            assert self._given
            self._out.mux(self._stream.encode(None))
            self._out.close()
            given = self._given
        given.finish()
        self._work.sizes[file] = given.size
        self._out, self._number = None, self._number + 1


class _Scale:
    """Makes pictures upright, of square pixels, of one size, in 8 bits."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._made_for: object = None

    def scaled(self, frame: Any, size: tuple[int, int], areas: list[Area]) -> Any:
        made_for = (frame.width, frame.height, frame.format.name, frame.rotation, frame.interlaced_frame, areas)
        if made_for != self._made_for or self._graph is None:
            self._graph, self._made_for = _graph(frame, size, areas), made_for
        frame.pts, frame.time_base = 0, Fraction(1, _CLOCK)  # what passes is dated afterwards
        self._graph.push(frame)
        return self._graph.pull()


def _graph(frame: Any, size: tuple[int, int], areas: list[Area]) -> Graph:
    graph = Graph()
    steps: list[Any] = [
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, _CLOCK))
    ]
    steps += [graph.add(*step) for step in _TURNS.get(frame.rotation % 360, ())]
    if frame.interlaced_frame:
        steps.append(graph.add("field", "top"))  # half the lines, and no combs where something moves
    steps += [
        graph.add("scale", f"{size[0]}:{size[1]}:flags=bicubic"),
        graph.add("format", "yuv420p"),
        *(blurred(graph, size, area) for area in areas),
        graph.add("setsar", "1"),
        graph.add("buffersink"),
    ]
    return ready(graph, steps)


def _target(frame: Any, ratio: Fraction) -> tuple[int, int]:
    """The size of what is shown: upright, of square pixels, at most 1080p, even."""
    width, height = Fraction(frame.width) * ratio, Fraction(frame.height)
    if frame.rotation % 180:
        width, height = height, width
    fit = min(Fraction(1), Fraction(_LONG) / max(width, height), Fraction(_SHORT) / min(width, height))
    return max(2, round(width * fit / 2) * 2), max(2, round(height * fit / 2) * 2)


def _even(frames: Iterator[Any], origin: Fraction, layout: str, edits: _Edits) -> Iterator[Any]:
    """The sound by one clock from the beginning on: gaps are silence, as what follows must stay with its pictures."""
    graph: Graph | None = None
    made_for: object = None
    next_at = Fraction(0)
    for frame in frames:
        if (frame.sample_rate, frame.format.name, frame.layout.name) != made_for:
            if graph:
                yield from pulled(graph, None)
            made_for = (frame.sample_rate, frame.format.name, frame.layout.name)
            graph = _even_graph(frame, layout, edits, first=graph is None)
        assert graph
        at = _time(frame) - origin if frame.pts is not None else next_at
        next_at = at + Fraction(frame.samples, frame.sample_rate)
        frame.pts, frame.time_base = int(at * frame.sample_rate), Fraction(1, frame.sample_rate)
        yield from pulled(graph, frame)
    if graph:
        yield from pulled(graph, None)


def _even_graph(frame: Any, layout: str, edits: _Edits, *, first: bool) -> Graph:
    graph = Graph()
    steps = [
        graph.add_abuffer(
            sample_rate=frame.sample_rate, format=frame.format, layout=frame.layout,
            time_base=Fraction(1, frame.sample_rate),
        ),
        graph.add("aresample", f"{_SOUND_RATE}:async=1000:min_hard_comp=0.1" + (":first_pts=0" if first else "")),
        graph.add("aformat", f"sample_fmts=fltp:channel_layouts={layout}"),
        *(graph.add(*step) for step in edits.of_sound()),
        graph.add("abuffersink"),
    ]  # fmt: skip
    return ready(graph, steps)


class _Tracks:
    """The packets of the viewing copy, ready to be muxed, as often as is asked for."""

    def __init__(self, work: _Preparation, survey: _Survey, segments: int) -> None:
        self._work = work
        self._survey = survey
        self._parts = [PICTURES + number for number in range(segments) if work.sizes.get(PICTURES + number)]
        self.pictures: int | None = work.picture if survey.copy_pictures or self._parts else None
        self.sound: int | None = work.sound if survey.copy_sound or work.sizes.get(SOUND) else None
        self.length = survey.length - work.edits.removed(survey.length)

    def streams(self) -> Iterator[tuple[Any, Iterator[Any]]]:
        """A template and the packets of each track: the pictures first. Times begin at nought."""
        if self.pictures is not None:
            if self._survey.copy_pictures:
                yield self._copied(self.pictures, without_notes=True)
            else:
                yield self._joined(self._parts)
        if self.sound is not None:
            yield self._copied(self.sound) if self._survey.copy_sound else self._joined([SOUND])

    def _copied(self, index: int, *, without_notes: bool = False) -> tuple[Any, Iterator[Any]]:
        container = self._work.source()
        stream = container.streams[index]
        return stream, _monotonic(self._shifted(container, stream, without_notes=without_notes))

    def _shifted(self, container: Any, stream: Any, *, without_notes: bool) -> Iterator[Any]:
        length_size = _length_size(stream) if without_notes else 0
        with container:
            for packet in _packets(container, [stream]):
                if packet.is_corrupt:
                    continue
                one = _without_notes(packet, length_size) if without_notes else packet
                by = int(self._survey.origin / one.time_base)
                one.pts, one.dts = one.pts - by, one.dts - by
                yield one

    def _joined(self, files: list[int]) -> tuple[Any, Iterator[Any]]:
        first = self._work.part(files[0])

        def packets() -> Iterator[Any]:
            for file in files:
                with first if file == files[0] else self._work.part(file) as container:
                    yield from _packets(container, list(container.streams))

        return first.streams[0], _monotonic(packets())


def _muxed(out: Any, tracks: _Tracks, told: Callable[[float], None]) -> Fraction:
    """Mux all of it; returns when the track that counts ends, in seconds."""
    end, whole = Fraction(0), max(tracks.length, 1)
    with av.open(out, mode="w", format="mp4", options=_MP4, buffer_size=256 * 1024) as container:
        sources = [(container.add_stream_from_template(template), packets) for template, packets in tracks.streams()]
        for stream, _ in sources:
            stream.metadata.clear()
        for stream, packet in heapq.merge(*(_with(*one) for one in sources), key=lambda one: _decoded_at(one[1])):
            if stream is sources[0][0]:
                end = max(end, _decoded_at(packet) + _span(packet))
            told(float(_decoded_at(packet)) / whole)
            packet.stream = stream
            container.mux_one(packet)
    return end


def _with(stream: Any, packets: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
    return ((stream, packet) for packet in packets)


def _monotonic(packets: Iterator[Any]) -> Iterator[Any]:
    """Times of decoding that grow: recorders stumble."""
    last: int | None = None
    for packet in packets:
        if last is not None and packet.dts <= last:
            packet.dts = last + 1
        packet.pts = max(packet.pts, packet.dts)
        last = packet.dts
        yield packet


def _packets(container: Any, streams: list[Any]) -> Iterator[Any]:
    """The packets that have a time, up to where the file breaks off."""
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, FFmpegError):
            return
        if packet.dts is None:
            if packet.pts is None:  # also the empty one at the end
                continue
            packet.dts = packet.pts
        if packet.pts is None:
            packet.pts = packet.dts
        yield packet


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """What can be decoded; what cannot is passed over."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, FFmpegError):
            return
        with suppress(FFmpegError):
            yield from (frame for frame in packet.decode() if frame.pts is not None or stream.type == "audio")


def _seen(pictures: Iterator[Any], survey: _Survey) -> Iterator[tuple[Any, Fraction, Fraction]]:
    """Each picture, and from when until when it is seen."""
    last: Any = None
    since = Fraction(0)
    for picture in pictures:
        at = _time(picture) - survey.origin
        if last is not None:
            yield last, since, at
        last, since = picture, at
    if last is not None:
        yield last, since, max(since, survey.end - survey.origin)


def _not_before(since: Fraction, origin: Fraction, first: Any, frames: Iterator[Any]) -> Iterator[Any]:
    return (frame for frame in chain((first,), frames) if _time(frame) - origin >= since)


def _time(frame: Any) -> Fraction:
    return Fraction(frame.pts * frame.time_base)


def _decoded_at(packet: Any) -> Fraction:
    return Fraction(packet.dts * packet.time_base)


def _shown_at(packet: Any) -> Fraction:
    return Fraction(packet.pts * packet.time_base)


def _span(packet: Any) -> Fraction:
    return Fraction((packet.duration or 0) * packet.time_base)


def _declared(container: Any, streams: list[Any]) -> float:
    """How long the header says that it is, in seconds; 0 where it does not know, or where that is a guess."""
    if not any(name in container.format.name for name in _TELL_LENGTH):
        return 0.0
    spans = [float(stream.duration * stream.time_base) for stream in streams if stream.duration]
    return max(spans or [(container.duration or 0) / 1_000_000])


def _may_copy_pictures(stream: Any) -> bool:
    context = stream.codec_context
    extradata = bytes(context.extradata or b"")
    return (
        context.name == "h264"
        and extradata[:1] == b"\x01"
        and context.profile in ("Baseline", "Constrained Baseline", "Main", "High")
        and context.pix_fmt in ("yuv420p", "yuvj420p")
    )


def _fits(first: Any, ratio: Fraction) -> bool:
    width, height = first.width, first.height
    return (
        max(width, height) <= _LONG
        and min(width, height) <= _SHORT
        and not first.rotation
        and not first.interlaced_frame
        and _target(first, ratio) == (width, height)
    )


def _may_copy_sound(stream: Any, into: str) -> bool:
    context = stream.codec_context
    if into == "vp9":
        return bool(context.name == "opus" and context.channels <= _STEREO and context.extradata)
    return bool(
        context.name == "aac"
        and context.profile == "LC"
        and context.channels <= _STEREO
        and context.sample_rate <= _SOUND_RATE
        and context.extradata
    )
