"""Databases to measure on: PostgreSQL as it comes, with every commit on disk, and SQLite files; each copied at once."""

import asyncio
import contextlib
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from app.store.database import is_sqlite, migrate, sqlite_path
from tests.postgres import LocalPostgres

# As a small server would be set up; commits wait for the disk, as they do by default.
_SETTINGS = "-c max_connections=100 -c shared_buffers=512MB -c max_wal_size=4GB"


class Databases:
    """Makes databases by name of their kind, `postgres` or `sqlite`."""

    def __init__(self, folder: Path, postgres: LocalPostgres) -> None:
        self._folder = folder
        self._postgres = postgres
        self._numbers = count(1)

    def new(self, kind: str) -> str:
        """Return the URL of a migrated, empty database."""
        url = self._made(kind, "TEMPLATE template0")
        asyncio.run(migrate(url))
        return url

    def copy(self, url: str) -> str:
        """Return the URL of a copy; nobody may be connected to the original."""
        if is_sqlite(url):
            copied = self._folder / f"{next(self._numbers)}.db"
            shutil.copyfile(sqlite_path(url), copied)
            return f"sqlite://{copied}"
        return self._made("postgres", f"TEMPLATE {urlsplit(url).path[1:]} STRATEGY FILE_COPY")

    @contextlib.contextmanager
    def copied(self, url: str) -> Iterator[str]:
        """Lend a copy for the length of the block."""
        copy = self.copy(url)
        try:
            yield copy
        finally:
            self.drop(copy)

    def drop(self, url: str) -> None:
        if is_sqlite(url):
            for file in self._folder.glob(f"{sqlite_path(url).name}*"):
                file.unlink()
        else:
            asyncio.run(execute(self._postgres.url("postgres"), f"DROP DATABASE {urlsplit(url).path[1:]} WITH (FORCE)"))

    def _made(self, kind: str, options: str) -> str:
        name = f"bench_{next(self._numbers)}"
        if kind == "sqlite":
            return f"sqlite://{self._folder / name}.db"
        asyncio.run(execute(self._postgres.url("postgres"), f"CREATE DATABASE {name} {options}"))
        return self._postgres.url(name)


@contextlib.contextmanager
def databases(folder: Path) -> Iterator[Databases]:
    """Run a PostgreSQL for the length of the block."""
    postgres = LocalPostgres(_SETTINGS)
    try:
        yield Databases(folder, postgres)
    finally:
        postgres.remove()


async def execute(url: str, *statements: str) -> None:
    """Run statements on a PostgreSQL database, each by itself."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
