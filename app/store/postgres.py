"""Tortoise's PostgreSQL, but that it works behind a connection pooler, too."""

from typing import Any

import asyncpg
import structlog
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import TransactionContext, TransactionContextPooled

_POOLER = "a connection pooler stands before the database: statements are not prepared"
_OF_A_POOL = {"max_queries", "max_inactive_connection_lifetime", "setup", "init", "reset"}
log = structlog.get_logger()


class Client(AsyncpgDBClient):
    async def create_connection(self, with_db: bool) -> None:
        """Connect, and ask for what our statements are written for as far as a pooler lets us.

        In PgBouncer's transaction mode a prepared statement may be gone at its next use, or stand in the
        way of another client's, and a connection's settings are refused.
        """
        if await self._is_pooled():
            log.info(_POOLER)
            self.extra["statement_cache_size"] = 0
        else:
            self.server_settings["default_transaction_isolation"] = "read committed"
        await super().create_connection(with_db)

    def _in_transaction(self) -> TransactionContext:
        return TransactionContextPooled(_Transaction(self), self._pool_init_lock)

    async def _is_pooled(self) -> bool:
        """Whether the process that answers is another than the one that let us in."""
        options: dict[str, Any] = {name: value for name, value in self.extra.items() if name not in _OF_A_POOL}
        probe = await asyncpg.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=self.database,
            **options | {"statement_cache_size": 0},
        )
        try:
            return bool(await probe.fetchval("SELECT pg_backend_pid()") != probe.get_server_pid())
        finally:
            await probe.close()


class _Transaction(TransactionWrapper):
    async def begin(self) -> None:
        """Begin at the isolation that our locks are meant for, behind a pooler, too."""
        self.transaction = self._connection.transaction(isolation="read_committed")
        await self.transaction.start()


client_class = Client
"""What Tortoise looks for in the module of a connection's `engine`."""
