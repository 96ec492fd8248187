"""What a form's body says: bytes in, names and values out, or one clear refusal."""

import asyncio
import json
import re
from binascii import a2b_qp
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, HTTPException
from fastapi.routing import APIRoute
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, create_form_parser, parse_options_header
from starlette.requests import Request
from starlette.responses import Response

_MOST_FIELDS = 50
_MOST_VALUES = 50_000
"""Commas and brackets of a JSON body; a letter has 20,000 characters at most, and these are characters too."""
_CONTENT_TYPE_LIMIT = 1000  # characters
_SLICE = 64 * 1024  # bytes; the multipart parser takes up to 0.5 µs for each
_UNESCAPED = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_MOST_UNESCAPED = 10_000
TWICE = "the same name twice"


class MalformedForm(ValueError):
    """The bytes are no form, or not in UTF-8."""


def read_urlencoded(body: bytes) -> list[tuple[str, str]]:
    """Read `application/x-www-form-urlencoded` (URL Standard §5.1), strictly.

    Starlette's own parser takes every byte for Latin-1 and puts U+FFFD for what it cannot read:
    `curl -d body=안녕` would arrive as something nobody wrote. The stdlib's takes every escaped
    byte by itself: 0.3 seconds for a body of 1 MB.

    Raises Unreadable.
    """
    if body.count(b"&") >= _MOST_FIELDS:
        raise MalformedForm("too many fields")
    fields = (field.partition(b"=") for field in body.split(b"&") if field)
    try:
        return [(_unescaped(name), _unescaped(value)) for name, _, value in fields]
    except UnicodeDecodeError as error:
        raise MalformedForm(str(error)) from None


def _unescaped(text: bytes) -> str:
    """Decode with the decoder of quoted-printable (RFC 2045 §6.7), whose escapes differ only in their sign."""
    text, lone = _UNESCAPED.subn(b"%25", text.replace(b"+", b" "), _MOST_UNESCAPED)
    if lone == _MOST_UNESCAPED:
        raise MalformedForm("percent signs that escape nothing")
    return a2b_qp(text.replace(b"=", b"%3D").replace(b"%", b"=")).decode()


async def read_multipart(content_type: str, body: bytes) -> list[tuple[str, str]]:
    """Read `multipart/form-data` (RFC 7578), strictly.

    Raises Unreadable, for a file too: nobody asked for one.
    """
    pairs: list[tuple[str, str]] = []

    def on_field(field: Field) -> None:
        if len(pairs) == _MOST_FIELDS:
            raise MalformedForm("too many fields")
        pairs.append(((field.field_name or b"").decode(), (field.value or b"").decode()))

    def on_file(_: File) -> None:
        raise MalformedForm("a file")

    try:
        parser = create_form_parser({"Content-Type": content_type.encode("latin-1")}, on_field, on_file)
        for start in range(0, len(body), _SLICE):
            parser.write(body[start : start + _SLICE])
            await asyncio.sleep(0)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise MalformedForm(str(error)) from None
    return pairs


async def read_pairs(request: Request) -> list[tuple[str, str]]:
    """Return a form's fields in order; boxes that are ticked share a name.

    Raises HTTPException 415 where the body is no form, and 400 where it cannot be read.
    """
    content_type = request.headers.get("content-type", "")
    if len(content_type) > _CONTENT_TYPE_LIMIT:  # to read its parameters is quadratic
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    kind = parse_options_header(content_type)[0]
    body = await request.body()
    try:
        if kind == b"application/x-www-form-urlencoded":
            return read_urlencoded(body)
        if kind == b"multipart/form-data":
            return await read_multipart(content_type, body)
    except MalformedForm:
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


class _JsonRequest(Request):
    async def json(self) -> Any:
        """Raise JSONDecodeError where a name stands twice: of two values for it each reader believes another."""
        body = await self.body()
        if sum(map(body.count, (b",", b"[", b"{"))) > _MOST_VALUES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return json.loads(body, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise json.JSONDecodeError(TWICE, "", 0)
    if len(pairs) > _MOST_FIELDS:
        raise json.JSONDecodeError("too many names", "", 0)
    return values


class JsonRoute(APIRoute):
    """A route whose JSON body is bounded, and says each thing once."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def answer_json(request: Request) -> Response:
            return await answer(_JsonRequest(request.scope, request.receive))

        return answer_json
