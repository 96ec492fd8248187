"""uvicorn's HTTP protocol with a limit on a request's head (docs/standards.md P15)."""

from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.web.security import HEADERS

HEAD_LIMIT = 64 * 1024
"""Bytes that a request's line and headers may have beyond what came with the first of them (256 KiB at most)."""


class BoundedProtocol(HttpToolsProtocol):
    """Refuses a head that does not end (RFC 6585 §5); httptools would buffer it without a limit.

    No middleware sees such a request, so the headers of P7 are added here.
    """

    _in_head = _began = False
    _head = 0

    def data_received(self, received: bytes) -> None:
        self._began = False
        super().data_received(received)
        if self._in_head and not self._began:  # then all of it belongs to one head
            self._head += len(received)
            if self._head > HEAD_LIMIT:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers of this request do not end.")

    def on_message_begin(self) -> None:
        self._in_head = self._began = True
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        fields = HEADERS | {
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Length": str(len(text)),
            "Connection": "close",
        }
        ours = [(name.encode(), value.encode()) for name, value in fields.items()]
        lines = (name + b": " + value + b"\r\n" for name, value in (*self.server_state.default_headers, *ours))
        self.transport.write(b"".join((STATUS_LINE[status], *lines, b"\r\n", text.encode())))
        self.transport.close()
