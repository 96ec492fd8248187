"""A FastAPI form that stores nothing: what `POST /letters` costs at least."""

from typing import Annotated
from uuid import uuid4

from fastapi import FastAPI, Form
from fastapi.responses import RedirectResponse


def create_app() -> FastAPI:
    """Build it; uvicorn calls this."""
    app = FastAPI()

    @app.post("/letters")
    async def post(
        recipient_email: Annotated[str, Form()],
        body: Annotated[str, Form()],
        subject: Annotated[str, Form()] = "",
        sender_name: Annotated[str, Form()] = "",
        timezone: Annotated[str, Form()] = "UTC",
    ) -> RedirectResponse:
        assert recipient_email
        assert body or subject or sender_name or timezone
        return RedirectResponse(f"/letters/{uuid4().hex}", 303)

    return app
