from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from app.crypto import Cipher
from app.doctor.findings import Finding, ok, problem
from app.errors import DatabaseError, KeyMissing, SettingsError
from app.settings import Settings
from app.store.cipher import open_cipher
from app.store.database import (
    as_moment,
    connected,
    connection,
    is_sqlite,
    is_unavailable,
    missing_migrations,
    probe_writing,
    sqlite_path,
)
from app.store.key_rotation import check_keys
from app.store.models import Secret, Worker

_TOLERANCE = timedelta(minutes=1)


async def check_database(settings: Settings, now: datetime) -> AsyncIterator[Finding]:
    url = settings.database_url
    if is_sqlite(url) and not sqlite_path(url).exists():
        yield problem("database", f"there is no {sqlite_path(url)} yet; run: slow-mailbox migrate")
        return
    try:
        async with connected(url):
            missing = await missing_migrations()
            if missing:
                yield problem("database", f"it lacks {', '.join(missing)}; run: slow-mailbox migrate")
                return
            await probe_writing()
            yield ok("database", "it answers, is up to date and can be written to")
            yield await _check_seal(settings)
            yield await _check_clock(url, now)
    except DatabaseError as error:
        yield problem("database", str(error))
    except Exception as error:
        if not is_unavailable(error):
            raise
        yield problem("database", f"it cannot be written to: {error}; see its log, its disk and its rights")


async def _check_seal(settings: Settings) -> Finding:
    """Whether our keys decrypt what is stored."""
    try:
        if await Secret.exists():  # opening the vault of a new database would make one
            base_cipher = Cipher(settings.keys())
            await open_cipher(base_cipher)
            await check_keys(base_cipher)
    except (KeyMissing, SettingsError) as error:
        return problem("seal", f"{error}; put back the key that this database began with")
    return ok("seal", "what rests in the database opens with the secret key")


async def _check_clock(url: str, now: datetime) -> Finding:
    """Whether our clock agrees with the database server's, and is not behind recorded times."""
    last_seen = await Worker.all().order_by("-seen_at").first()
    off = last_seen.seen_at - now if last_seen else timedelta()
    if not is_sqlite(url):
        rows = await connection().execute_query_dict("SELECT clock_timestamp() AS now")
        off = max(off, abs(as_moment(rows[0]["now"]) - now))
    if off > _TOLERANCE:
        return problem("clock", f"it is {off.total_seconds():.0f} s off by the database's record; set it by NTP")
    return ok("clock", f"it says {now:%Y-%m-%d %H:%M:%S} UTC")
