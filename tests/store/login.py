"""Signing in, without the web pages."""

from datetime import datetime

from app.store.accounts import open_session, verify_password


async def sign_in(username: str, password: str, now: datetime) -> str | None:
    proof = await verify_password(username, password)
    return await open_session(username, proof, now) if proof else None
