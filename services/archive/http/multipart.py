"""The file of a plain form (multipart/form-data), read as it comes: nothing of it is ever put down unsealed."""

from collections import deque
from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header


class NotAForm(Exception):  # noqa: N818 - says what is the case
    """The body is not a form with a file."""


async def file_of(content_type: str, chunks: AsyncIterator[bytes], field: str) -> AsyncIterator[bytes]:
    """Yield the bytes of the form's file `field`; skip other fields. Raises NotAForm."""
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise NotAForm
    reading = _Reading(field)
    parser = MultipartParser(
        options[b"boundary"],
        {
            "on_part_begin": reading.begin,
            "on_header_field": reading.name_of_header,
            "on_header_value": reading.value_of_header,
            "on_header_end": reading.end_of_header,
            "on_part_data": reading.data,
            "on_part_end": reading.end,
        },
    )
    try:
        async for chunk in chunks:
            parser.write(chunk)
            while reading.pieces:
                yield reading.pieces.popleft()
        parser.finalize()
    except FormParserError as error:
        raise NotAForm from error


class _Reading:
    """What the parser has come across: whether it is inside the wanted file, and its bytes."""

    def __init__(self, field: str) -> None:
        self.pieces: deque[bytes] = deque()
        self._field = field.encode()
        self._name, self._value = b"", b""
        self._wanted = False

    def begin(self) -> None:
        self._wanted = False

    def name_of_header(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def value_of_header(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def end_of_header(self) -> None:
        if self._name.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._wanted = options.get(b"name") == self._field and b"filename" in options
        self._name, self._value = b"", b""

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._wanted:
            self.pieces.append(data[start:end])

    def end(self) -> None:
        self._wanted = False
