"""A file that a form sends, read as it streams: nothing of it is ever put on disk."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from firsthand.shared.web.problems import Problem

_LONGEST_FIELD: Final = 1000  # bytes of an ordinary field
_MOST_FIELDS: Final = 20


@dataclass
class SentForm:
    """The fields of a form (multipart/form-data) that come before its file `wanted`, then the file's bytes."""

    content_type: str
    chunks: AsyncIterator[bytes]
    wanted: str
    fields: dict[str, str] = field(default_factory=dict)
    _pieces: list[bytes] = field(default_factory=list)
    _name: str = ""
    _is_file: bool = False
    _is_over: bool = False  # the file that is wanted; a second one of its name is not
    _header: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _text: bytearray = field(default_factory=bytearray)

    async def file(self) -> AsyncIterator[bytes]:
        """Yield the file's bytes; `fields` then holds the fields before it. Raises Problem (400)."""
        parser = self._parser()
        try:
            async for chunk in self.chunks:
                parser.write(chunk)
                for piece in self._pieces:
                    yield piece
                self._pieces.clear()
            parser.finalize()
        except FormParserError as error:
            raise Problem(400) from error

    async def whole(self, most: int) -> bytes:
        """Give the file, of which no more is read than one byte beyond `most`. Raises Problem (400)."""
        content = bytearray()
        async for piece in self.file():
            content += piece
            if len(content) > most:
                break
        return bytes(content[: most + 1])

    def _parser(self) -> MultipartParser:
        kind, options = parse_options_header(self.content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise Problem(400)
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._header_end,
                "on_part_data": self._data,
                "on_part_end": self._end,
            },
        )

    def _begin(self) -> None:
        self._name, self._is_file = "", False
        self._text.clear()

    def _header_end(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self._name = options.get(b"name", b"").decode("utf-8", "replace")
            self._is_file = b"filename" in options
        self._header.clear()
        self._value.clear()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            if self._name != self.wanted or self._is_over:
                return
            self._pieces.append(data[start:end])
        elif len(self._text) < _LONGEST_FIELD:
            self._text += data[start:end]

    def _end(self) -> None:
        self._is_over = self._is_over or (self._is_file and self._name == self.wanted)
        if not self._is_file and len(self.fields) < _MOST_FIELDS:
            self.fields[self._name] = self._text.decode("utf-8", "replace")


__all__ = ["SentForm"]
