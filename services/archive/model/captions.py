"""Captions: what is said in a recording, line by line, read from and written as WebVTT and SubRip. Pure."""

import html
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Literal

import webvtt
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter
from webvtt.errors import MalformedCaptionError, MalformedFileError

from firsthand.services.archive.model.edits import Edit, Milliseconds, cuts_of, silences_of
from firsthand.services.archive.model.refusals import not_written
from firsthand.shared.inputs import Note, Tidy, tidy

MOST_BYTES: Final = 2 * 1024**2  # eight hours of speech are some 600 KiB
_MOST_LINES: Final = 20_000
_LONGEST_LINE: Final = 2000  # characters
_LONGEST_NAME: Final = 80
_LATEST: Final = 24 * 3600 * 1000  # milliseconds
_OVERHANG: Final = 2000  # milliseconds by which captions may reach beyond the end: meeting providers round
_MOST_BEYOND: Final = 0.1  # of the lines; with more of them, these are the captions of another recording

Speaker = Annotated[str, Tidy, StringConstraints(max_length=_LONGEST_NAME)]
Form = Literal["vtt", "srt"]


class Cue(BaseModel):
    """A line of captions, shown from `start` up to, not including, `end`."""

    model_config = ConfigDict(frozen=True)

    start: Milliseconds
    end: Milliseconds
    text: Annotated[Note, Field(min_length=1)]
    speaker: Speaker = ""


_CUES: Final = TypeAdapter[list[Cue]](list[Cue])


def stored(cues: Sequence[Cue]) -> str:
    """Write lines as they are sealed."""
    return _CUES.dump_json(list(cues)).decode()


def unstored(text: str) -> list[Cue]:
    return _CUES.validate_json(text)


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
    if 2 * sum(names.values()) < len(cues) or len(names) > max(2, len(cues) // 3):
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
    return f"{cue.speaker}: {cue.text}" if cue.speaker else cue.text


def _voiced(cue: Cue) -> str:
    text = html.escape(cue.text, quote=False)
    return f"<v {html.escape(cue.speaker, quote=False)}>{text}" if cue.speaker else text


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


__all__ = ["MOST_BYTES", "Cue", "Form", "changed", "read", "stored", "unstored", "written"]
