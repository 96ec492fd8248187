"""Tortoise's PostgreSQL client, made to work behind a connection pooler."""

from typing import Any

import asyncpg
import structlog
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.backends.base.client import TransactionContext, TransactionContextPooled

_POOLER = "connection pooler detected, prepared statements are off"
_POOL_OPTIONS = {"max_queries", "max_inactive_connection_lifetime", "setup", "init", "reset"}
log = structlog.get_logger()


class PostgresClient(AsyncpgDBClient):
    async def create_connection(self, with_db: bool) -> None:
        """Turn prepared statements off behind a pooler, and set the isolation level elsewhere.

        In PgBouncer's transaction mode a prepared statement may be missing at its next use, or collide
        with another client's, and a connection's settings are refused.
        """
        if await self._is_pooled():
            log.info(_POOLER)
            self.extra["statement_cache_size"] = 0
        else:
            self.server_settings["default_transaction_isolation"] = "read committed"
        await super().create_connection(with_db)

    def _in_transaction(self) -> TransactionContext:
        return TransactionContextPooled(_PostgresTransaction(self), self._pool_init_lock)

    async def _is_pooled(self) -> bool:
        options: dict[str, Any] = {name: value for name, value in self.extra.items() if name not in _POOL_OPTIONS}
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


class _PostgresTransaction(TransactionWrapper):
    async def begin(self) -> None:
        """Set the isolation level that our locks need; behind a pooler there is no other place for it."""
        self.transaction = self._connection.transaction(isolation="read_committed")
        await self.transaction.start()


client_class = PostgresClient
"""The name that Tortoise imports from a connection's `engine`."""
