"""Captions: what is said in a recording, line by line, read from and written as WebVTT and SubRip. Pure."""

import html
import io
import json
import zlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import webvtt
from pydantic import BaseModel, ConfigDict, Field
from webvtt.errors import MalformedCaptionError, MalformedFileError

from firsthand.services.archive.model.edits import Edit, Milliseconds, cuts_of, silences_of
from firsthand.services.archive.model.refusals import not_written
from firsthand.services.archive.model.words import APART
from firsthand.shared.inputs import tidy

MOST_BYTES: Final = 2 * 1024**2  # eight hours of speech are some 600 KiB
_MOST_LINES: Final = 20_000
_LONGEST_LINE: Final = 2000  # characters
_LONGEST_NAME: Final = 80
_LATEST: Final = 24 * 3600 * 1000  # milliseconds
_OVERHANG: Final = 2000  # milliseconds by which captions may reach beyond the end: meeting providers round
_MOST_BEYOND: Final = 0.1  # of the lines; with more of them, these are the captions of another recording

Form = Literal["vtt", "srt"]


class Cue(BaseModel):
    """A line of captions, shown from `start` up to, not including, `end`."""

    model_config = ConfigDict(frozen=True)

    start: Milliseconds
    end: Milliseconds
    text: Annotated[str, Field(min_length=1, max_length=_LONGEST_LINE)]  # cleaned where it came in, not at each reading
    speaker: Annotated[str, Field(max_length=_LONGEST_NAME)] = ""


@dataclass(frozen=True)
class Lines:
    """Lines as they are sealed: what is said in one piece, so that it can be looked through without taking it apart."""

    said: str  # the texts, with APART between them
    told: str  # JSON: all starts, all ends, the speakers' names, and which of them each line has

    @classmethod
    def of(cls, cues: Sequence[Cue]) -> "Lines":
        names = list(dict.fromkeys(cue.speaker for cue in cues))
        told = [
            [cue.start for cue in cues],
            [cue.end for cue in cues],
            names,
            [names.index(cue.speaker) for cue in cues],
        ]
        return cls(APART.join(cue.text for cue in cues), json.dumps(told, ensure_ascii=False))

    @classmethod
    def unsealed(cls, text: str) -> "Lines":
        told, _, said = unpacked(text).partition("\n")
        return cls(said, told)

    def to_seal(self) -> str:
        return packed(f"{self.told}\n{self.said}")

    def cues(self, numbers: Sequence[int] | None = None) -> list[Cue]:
        """Give all lines, or those of these numbers."""
        starts, ends, names, of = json.loads(self.told)
        texts = self.said.split(APART)
        return [
            Cue.model_construct(start=starts[number], end=ends[number], text=texts[number], speaker=names[of[number]])
            for number in (range(len(texts)) if numbers is None else numbers)
        ]


def packed(text: str) -> str:
    """Write a long text as a third of its length: what is sealed is read from a disk again and again."""
    return b64encode(zlib.compress(text.encode())).decode()


def unpacked(text: str) -> str:
    return zlib.decompress(b64decode(text)).decode()


def read(content: bytes, duration_seconds: float | None = None) -> list[Cue]:
    """Read the lines of a WebVTT or SubRip file, in the order of their times, those beyond the end left out. Names of
    speakers are kept, as WebVTT's voices and as meeting providers write them (`Maria: Hello`); all else is not. Raises
    Refused.
    """
    if len(content) > MOST_BYTES:
        raise not_written("too-large")
    text = _decoded(content)
    form: Form = "vtt" if text.startswith("WEBVTT") else "srt"
    try:
        captions = webvtt.from_string(text) if form == "vtt" else webvtt.from_buffer(io.StringIO(text), format="srt")
    except (MalformedFileError, MalformedCaptionError):
        raise not_written("no-captions") from None
    found = [cue for caption in captions.captions if (cue := _cue(caption))]
    if len(found) > _MOST_LINES:
        raise not_written("too-large")
    if duration_seconds is not None:
        found = _within(found, round(1000 * duration_seconds))
    if not found:
        raise not_written("no-captions")
    return sorted(_with_speakers(found), key=lambda cue: (cue.start, cue.end))


def _decoded(content: bytes) -> str:
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise not_written("not-unicode") from None
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def _cue(caption: webvtt.Caption) -> Cue | None:
    start, end = caption.start_time.in_milliseconds(), caption.end_time.in_milliseconds()
    text = tidy(html.unescape(caption.text)[:_LONGEST_LINE], lines=True)
    if not text or not start < end <= _LATEST:
        return None
    return Cue(start=start, end=end, text=text, speaker=tidy(html.unescape(caption.voice or ""))[:_LONGEST_NAME])


def _within(cues: list[Cue], length: int) -> list[Cue]:
    inside = [cue for cue in cues if cue.start < length]
    if any(cue.end > length + _OVERHANG for cue in cues) and len(cues) - len(inside) > _MOST_BEYOND * len(cues):
        raise not_written("longer")
    return [cue.model_copy(update={"end": min(cue.end, length)}) for cue in inside]


def _with_speakers(cues: Sequence[Cue]) -> list[Cue]:
    """Take `Maria: ` at the beginnings for names, where most lines have one: in one line it may be what is said."""
    if any(cue.speaker for cue in cues):
        return list(cues)
    parts = [cue.text.partition(": ") for cue in cues]
    names = Counter(name for name, _, rest in parts if rest and len(name) <= _LONGEST_NAME and "\n" not in name)
    if 2 * sum(names.values()) <= len(cues) or len(names) > max(2, len(cues) // 3):
        return list(cues)
    return [
        cue.model_copy(update={"text": rest, "speaker": name}) if name in names and rest else cue
        for cue, (name, _, rest) in zip(cues, parts, strict=True)
    ]


def written(cues: Iterable[Cue], form: Form) -> str:
    """Write lines as a file."""
    if form == "srt":
        blocks = [
            f"{number}\n{_time(cue.start, ',')} --> {_time(cue.end, ',')}\n{_named(cue)}\n"
            for number, cue in enumerate(cues, 1)
        ]
        return "\n".join(blocks)
    lines = [f"{_time(cue.start, '.')} --> {_time(cue.end, '.')}\n{_voiced(cue)}\n" for cue in cues]
    return "\n".join(["WEBVTT\n", *lines])


def _named(cue: Cue) -> str:
    text = _block(cue.text).replace("-->", "→")  # which SubRip cannot escape
    return f"{cue.speaker}: {text}" if cue.speaker else text


def _voiced(cue: Cue) -> str:
    text = html.escape(_block(cue.text), quote=False)
    return f"<v {html.escape(cue.speaker, quote=False)}>{text}" if cue.speaker else text


def _block(text: str) -> str:
    """Leave out empty lines: in a file, one ends what is said."""
    return "\n".join(filter(None, text.split("\n")))


def _time(milliseconds: int, mark: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{mark}{rest:03}"


def changed(cues: Sequence[Cue], edits: Sequence[Edit]) -> list[Cue]:
    """Give the lines of the version that has these changes. A line of which anything was taken out or silenced goes as
    a whole: nobody knows which of its words were.
    """
    cuts = cuts_of(edits)
    gone = [*cuts, *silences_of(edits)]
    kept = [cue for cue in cues if not any(cue.start < end and start < cue.end for start, end in gone)]
    moved = [(cue, sum(end - start for start, end in cuts if end <= cue.start)) for cue in kept]
    return [cue.model_copy(update={"start": cue.start - by, "end": cue.end - by}) for cue, by in moved]


__all__ = ["MOST_BYTES", "Cue", "Form", "Lines", "changed", "packed", "read", "unpacked", "written"]
