"""A multipart form with one file in it, taken in piece by piece.

Source: RFC 7578; wire specification of DataTrails 3.
"""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from tallystick.dialects.datatrails.attachments import mime_type_of
from tallystick.errors import Malformed, TooLarge
from tallystick.ledger.blobs import Upload

FIELD = "file"
FORM_BYTES = 64 * 1024
"""What a form may have besides its file."""


class FileForm:
    """Writes the part called `file` to an upload and passes over all others."""

    def __init__(self, content_type: str | None, upload: Upload, limit_bytes: int) -> None:
        """Begin with a request of the given type.

        Raises: Malformed when it is no multipart form.
        """
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise Malformed("a blob is sent as multipart/form-data", path="Content-Type")
        self._upload = upload
        self._limit_bytes = limit_bytes
        try:
            self._parser = _parser(boundary, self)
        except FormParserError as error:
            raise Malformed(f"the form is malformed: {error}") from None
        self._name = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._is_file = False
        self._mime_type: str | None = None
        self._ended = False
        self._seen_bytes = 0

    def write(self, data: bytes) -> None:
        """Take the next piece of the body.

        Raises: Malformed, TooLarge.
        """
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise Malformed(f"the form is malformed: {error}") from None
        self._seen_bytes += len(data)
        besides = self._seen_bytes - self._upload.size
        if besides > FORM_BYTES:
            raise TooLarge(
                f"a form may have {FORM_BYTES:,} bytes besides its file",
                limit=FORM_BYTES,
                actual=besides,
            )

    def finish(self) -> str:
        """Return the type of the file, having seen the form's end.

        Raises: Malformed when the form is cut off or holds no file.
        """
        if not self._ended:
            raise Malformed("the form is cut off")
        if self._mime_type is None:
            raise Malformed(f"the form has no part called {FIELD!r}", path=FIELD)
        return self._mime_type

    # What the parser calls: pieces of a header's name and value, then of the part.

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a header's name."""
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        """Take a piece of a header's value."""
        self._value += data[start:end]

    def on_header_end(self) -> None:
        """Note a header."""
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def on_headers_finished(self) -> None:
        """Decide what the part is."""
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._is_file = options.get(b"name") == FIELD.encode()
        if self._is_file:
            if self._mime_type is not None:
                raise Malformed(f"the form has two parts called {FIELD!r}", path=FIELD)
            kind = self._headers.get(b"content-type", b"").decode("latin-1")
            self._mime_type = mime_type_of(kind)
        self._headers = {}

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Write a piece of the file."""
        if not self._is_file:
            return
        size = self._upload.size + end - start
        if size > self._limit_bytes:
            raise TooLarge(
                f"a blob may have {self._limit_bytes:,} bytes",
                limit=self._limit_bytes,
                actual=size,
                path=FIELD,
            )
        self._upload.write(data[start:end])

    def on_end(self) -> None:
        """Note the end of the form."""
        self._ended = True


def _parser(boundary: bytes, form: FileForm) -> MultipartParser:
    return MultipartParser(
        boundary,
        {
            "on_header_field": form.on_header_field,
            "on_header_value": form.on_header_value,
            "on_header_end": form.on_header_end,
            "on_headers_finished": form.on_headers_finished,
            "on_part_data": form.on_part_data,
            "on_end": form.on_end,
        },
    )
