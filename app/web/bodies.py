"""What a form's body says: bytes in, names and values out, or one clear refusal."""

import io
import re
from binascii import unhexlify
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, HTTPException
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, parse_form, parse_options_header
from starlette.requests import Request

_MOST_FIELDS = 50
_ESCAPED = re.compile(rb"(?:%[0-9A-Fa-f]{2})+")


class Unreadable(ValueError):
    """The bytes are no form, or not in UTF-8."""


def read_urlencoded(body: bytes) -> list[tuple[str, str]]:
    """Read `application/x-www-form-urlencoded` (URL Standard §5.1), strictly.

    Starlette's own parser takes every byte for Latin-1 and puts U+FFFD for what it cannot read:
    `curl -d body=안녕` would arrive as something nobody wrote. The stdlib's takes every escaped
    byte by itself, which for a letter in Korean is most of what posting it costs.

    Raises Unreadable.
    """
    if body.count(b"&") >= _MOST_FIELDS:
        raise Unreadable("too many fields")
    fields = (field.partition(b"=") for field in body.split(b"&") if field)
    try:
        return [(_unescaped(name), _unescaped(value)) for name, _, value in fields]
    except UnicodeDecodeError as error:
        raise Unreadable(str(error)) from None


def _unescaped(text: bytes) -> str:
    return _ESCAPED.sub(_bytes, text.replace(b"+", b" ")).decode()


def _bytes(escaped: re.Match[bytes]) -> bytes:
    return unhexlify(escaped[0].replace(b"%", b""))


def read_multipart(content_type: str, body: bytes) -> list[tuple[str, str]]:
    """Read `multipart/form-data` (RFC 7578), strictly.

    Raises Unreadable, for a file too: nobody asked for one.
    """
    pairs: list[tuple[str, str]] = []

    def on_field(field: Field) -> None:
        if len(pairs) == _MOST_FIELDS:
            raise Unreadable("too many fields")
        pairs.append(((field.field_name or b"").decode(), (field.value or b"").decode()))

    def on_file(_: File) -> None:
        raise Unreadable("a file")

    headers = {"Content-Type": content_type.encode("latin-1"), "Content-Length": str(len(body)).encode()}
    try:
        parse_form(headers, io.BytesIO(body), on_field, on_file)
    except (FormParserError, ValueError) as error:
        raise Unreadable(str(error)) from None
    return pairs


async def read_pairs(request: Request) -> list[tuple[str, str]]:
    """Return a form's fields in order; boxes that are ticked share a name.

    Raises HTTPException 415 where the body is no form, and 400 where it cannot be read.
    """
    content_type = request.headers.get("content-type", "")
    kind = parse_options_header(content_type)[0]
    body = await request.body()
    try:
        if kind == b"application/x-www-form-urlencoded":
            return read_urlencoded(body)
        if kind == b"multipart/form-data":
            return read_multipart(content_type, body)
    except Unreadable:
        raise HTTPException(HTTPStatus.BAD_REQUEST) from None
    raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


async def read_form(request: Request) -> dict[str, str]:
    """Return a form's fields; raises as `read_pairs` does, and HTTPException 400 where it says one thing twice."""
    pairs = await read_pairs(request)
    values = dict(pairs)
    if len(values) < len(pairs):
        raise HTTPException(HTTPStatus.BAD_REQUEST)
    return values


FormPairs = Annotated[list[tuple[str, str]], Depends(read_pairs)]
FormValues = Annotated[dict[str, str], Depends(read_form)]
