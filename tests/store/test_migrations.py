"""A filled database goes through every migration with its rows, checks and indexes, on both databases."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tortoise import Tortoise
from tortoise.context import get_current_context
from tortoise.exceptions import IntegrityError, OperationalError
from tortoise.fields.relational import ForeignKeyFieldInstance
from tortoise.migrations.autodetector import MigrationAutodetector
from tortoise.migrations.operations import AlterModelOptions

from app.errors import DatabaseError
from app.store.audit import audit
from app.store.database import APP, connected, connection, migrate, missing_migrations, tortoise_config
from tests.store.schema import read_schema

pytestmark = pytest.mark.anyio

MIGRATIONS = Path(__file__).parents[2] / "migrations"
NAMES = sorted(path.stem for path in MIGRATIONS.glob("0*.py"))
ROWS = {
    "0001_initial": """
        INSERT INTO workers (id, name, beat, started_at, seen_at) VALUES ({uuid}, 'w', 7, {at}, {at});
        INSERT INTO letters (
            id, token_hash, token_sealed, recipient_email_sealed, recipient_name_sealed, sender_email_sealed,
            sender_name_sealed, subject_sealed, body_sealed, recipient_hmac, reader_token_hash, language, timezone,
            written_at, send_at, sealed_at, stopped_at
        ) VALUES (
            {uuid}, 'hash{n}', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'm', 'reader{n}', 'ko', 'Asia/Seoul',
            {at}, {later}, {at}, {at}
        );
        INSERT INTO deliveries (
            letter_id, occasion, notice, status, status_at, promised_at, due_at, message_id, domain_hmac,
            held_reason, awaited_hmac
        ) VALUES (
            {uuid}, 'first', false, 'held', {at}, {later}, {later}, '<{n}@slow.test>', 'd', 'unconfirmed', 'm'
        );
        INSERT INTO confirmations (address_hmac, token_hash, notice_id, asked_at)
            SELECT 'm', 'confirmation{n}', MAX(id), {at} FROM deliveries;
        INSERT INTO attempts (
            delivery_id, claim_token, worker_name, started_at, ended_at, outcome, code, enhanced, answer
        ) SELECT MAX(id), {uuid}, 'w', {at}, {at}, 'transient', 450, '4.7.1', 'later' FROM deliveries;
        INSERT INTO corrections (id, letter_id, recipient_hmac, recipient_domain_hmac)
            VALUES ({uuid}, {uuid}, 'm', 'd');
        UPDATE leases SET worker_id = {uuid}, term = term + 1, taken_at = {at};
        INSERT INTO undeliverable_addresses (address_hmac, since) VALUES ('address{n}', {at});
        INSERT INTO blocked_addresses (address_hmac, since) VALUES ('address{n}', {at});
        INSERT INTO quota_counts (scope, minute, number) VALUES ('scope{n}', 7, 1);
        INSERT INTO secrets (name, sealed) VALUES ('secret{n}', 'sealed');
        INSERT INTO accounts (username, password_hash, created_at) VALUES ('somebody{n}', 'hash', {at});
        INSERT INTO sessions (token_hash, account_id, created_at, seen_at)
            SELECT 'session{n}', MAX(id), {at}, {at} FROM accounts;
        INSERT INTO second_factors (account_id, secret_sealed, confirmed_at, last_step)
            SELECT MAX(id), 'sealed', {at}, 7 FROM accounts;
        INSERT INTO recovery_codes (code_hash, account_id) SELECT 'code{n}', MAX(id) FROM accounts;
        INSERT INTO job_runs (name, worker_name, started_at) VALUES ('job{n}', 'w', {at});
        INSERT INTO operator_actions (at, who, client, action, subject, asked, changed)
            VALUES ({at}, 'somebody{n}', '', 'hold', '', 2, 1);
        INSERT INTO delivery_actions (delivery_id, at, who, action)
            SELECT MAX(id), {at}, 'somebody{n}', 'hold' FROM deliveries;
        INSERT INTO bulk_actions (id, action, who, client, selection, chosen, asked, cursor, seen, changed, begun_at)
            VALUES ({uuid}, 'hold', 'somebody{n}', '', 'state=held', '', 2, '', 2, 1, {at});
        DELETE FROM pauses;
        INSERT INTO pauses (name, since, who) VALUES ('sending', {at}, 'somebody{n}');
        INSERT INTO raised_alerts (name, since, fired_at) VALUES ('alert{n}', {at}, {at})
    """,
}
"""Rows for every table, by the first migration that takes them; a migration that changes tables adds its own."""


async def _fill(name: str, number: int) -> None:
    values = {
        "n": number,
        "uuid": f"'00000000-0000-4000-8000-{number:012}'",
        "at": "'2026-01-01 09:30:00+00:00'",
        "later": "'2026-01-08 09:30:00+00:00'",
    }
    newest = max(each for each in ROWS if each <= name)
    for statement in ROWS[newest].format(**values).split(";"):
        await connection().execute_query(statement)


async def _all_rows() -> dict[str, list[dict[str, Any]]]:
    schema = await read_schema()
    return {
        table: await connection().execute_query_dict(f"SELECT * FROM {table} ORDER BY 1") for table in schema.columns
    }


async def test_a_filled_database_goes_through_every_migration(empty_database_url: str) -> None:
    """Rows are put in after each one, and found again after the next."""
    url, kept = empty_database_url, dict[str, list[dict[str, Any]]]()
    for number, name in enumerate(NAMES):
        assert await migrate(url, name) == [name]
        async with connected(url):
            rows = await _all_rows()
            for table, before in kept.items():
                for old, new in zip(before, rows[table], strict=True):
                    assert {column: new[column] for column in old if column in new} == old, f"{table}, by {name}"
            await _fill(name, number)
            kept = await _all_rows()
            assert all(kept.values()), f"{[table for table, found in kept.items() if not found]}: extend ROWS"
    assert await migrate(url) == []
    async with connected(url):
        assert {what: found for what, found in (await audit()).impossible.items() if found and "count" in what} == {}


async def test_a_migrated_database_lacks_nothing_and_an_empty_one_everything(database_url: str, tmp_path: Path) -> None:
    async with connected(database_url):
        assert await missing_migrations() == []
    async with connected(f"sqlite://{tmp_path}/empty.db"):
        assert await missing_migrations() == NAMES


async def test_both_databases_have_the_same_tables_checks_and_indexes(sqlite_url: str, postgres_url: str) -> None:
    schemas = []
    for url in (sqlite_url, postgres_url):
        async with connected(url):
            schemas.append(await read_schema())
    assert schemas[0] == schemas[1]
    assert len(schemas[0].checks) > 10
    assert len(schemas[0].indexes) > 10
    assert len(schemas[0].triggers) > 3


async def test_the_tables_are_what_the_models_say(database_url: str) -> None:
    async with connected(database_url):
        schema = await read_schema()
        models = Tortoise.apps[APP].values() if Tortoise.apps else ()
        assert set(schema.columns) == {model._meta.db_table for model in models}
        for model in models:
            meta = model._meta
            fields = {column: meta.fields_map[name] for name, column in meta.fields_db_projection.items()}
            assert schema.columns[meta.db_table] == {column: field.null for column, field in fields.items()}
            for column, field in fields.items():
                assert not field.unique or (meta.db_table, frozenset({column})) in schema.uniques
            for name in meta.fk_fields:
                key = meta.fields_map[name]
                assert isinstance(key, ForeignKeyFieldInstance)
                parent = key.related_model._meta.db_table
                assert (meta.db_table, key.source_field, parent, str(key.on_delete.value)) in schema.foreign_keys
            for together in meta.unique_together:
                columns = frozenset(meta.fields_map[name].source_field or name for name in together)
                assert (meta.db_table, columns) in schema.uniques


async def test_the_migrations_state_is_what_the_models_say(database_url: str) -> None:
    """Nothing that `tortoise makemigrations` would still want to write."""
    async with connected(database_url):
        context = get_current_context()
        assert context
        assert context.apps
        writers = await MigrationAutodetector(context.apps, tortoise_config(database_url)["apps"]).changes()
        wanted = [operation for writer in writers for operation in writer.operations]
        assert [operation for operation in wanted if not isinstance(operation, AlterModelOptions)] == []


# What `migrate` itself keeps to, shown by migrations that nobody wrote yet.


@pytest.fixture
def further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what adds one more migration behind the last: of these statements, or of an operation's own words."""
    package = f"migrations_{next(_packages)}"
    folder = tmp_path / package
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("app.store.database.MIGRATIONS", package)
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))

    def add(statements: str = "", operation: str = "") -> None:
        (folder / "9999_further.py").write_text(
            "from tortoise import fields, migrations\n"
            "from tortoise.migrations.operations import RunSQL\n"
            "from ._tables import AlterConstraints\n"
            "class Migration(migrations.Migration):\n"
            f"    dependencies = [({APP!r}, {NAMES[-1]!r})]\n"
            f"    operations = [{operation or f'RunSQL({statements!r})'}]\n"
        )

    return add


_packages = itertools.count(1)

_REBUILD = """
    CREATE TABLE accounts_new (
        id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
        username VARCHAR(64) NOT NULL UNIQUE,
        password_hash VARCHAR(255) NOT NULL,
        created_at TIMESTAMP NOT NULL,
        CHECK (username <> '')
    );
    INSERT INTO accounts_new SELECT * FROM accounts WHERE {which};
    DROP TABLE accounts;
    ALTER TABLE accounts_new RENAME TO accounts
"""


async def test_a_table_that_sqlite_rebuilds_keeps_its_children(sqlite_url: str, further: Callable[..., None]) -> None:
    """Sessions would be deleted with the accounts that are dropped."""
    async with connected(sqlite_url):
        await _fill(NAMES[-1], 1)
    further(_REBUILD.format(which="true"))
    assert await migrate(sqlite_url) == ["9999_further"]
    async with connected(sqlite_url):
        assert len((await _all_rows())["sessions"]) == 1
        assert (await connection().execute_query_dict("PRAGMA foreign_keys"))[0]["foreign_keys"] == 1


async def test_a_check_is_altered_and_nothing_else(database_url: str, further: Callable[..., None]) -> None:
    """SQLite makes the table anew: its rows, indexes and triggers come along."""
    async with connected(database_url):
        await _fill(NAMES[-1], 1)
        schema, rows = await read_schema(), await _all_rows()
    check = "CHECK (unanswered >= 0 AND attempts >= unanswered AND attempts < 5)"
    further(operation=f"AlterConstraints('Delivery', {{'deliveries_counts': {check!r}}})")
    assert await migrate(database_url) == ["9999_further"]
    async with connected(database_url):
        assert (await read_schema(), await _all_rows()) == (schema, rows)
        with pytest.raises(IntegrityError):
            await connection().execute_query("UPDATE deliveries SET attempts = 5")
        await connection().execute_query("DELETE FROM attempts")
        await connection().execute_query("DELETE FROM confirmations")
        await connection().execute_query("DELETE FROM deliveries")
        sums = await connection().execute_query_dict("SELECT SUM(number) AS n FROM counters WHERE kind = 'held'")
        assert sums[0]["n"] == 0


async def test_a_migration_that_would_lose_parents_is_refused_and_undone(
    sqlite_url: str, further: Callable[..., None]
) -> None:
    async with connected(sqlite_url):
        await _fill(NAMES[-1], 1)
        before = await _all_rows()
    further(_REBUILD.format(which="false"))
    with pytest.raises(DatabaseError, match="without the rows they belong to"):
        await migrate(sqlite_url)
    async with connected(sqlite_url):
        assert await _all_rows() == before
        assert await missing_migrations() == ["9999_further"]


async def test_a_migration_that_fails_in_the_middle_leaves_nothing(
    database_url: str, further: Callable[..., None]
) -> None:
    further("CREATE TABLE half (id INT); INSERT INTO half (id) VALUES (1); SELECT 1 FROM nowhere")
    for _ in range(2):  # tried again, it fails for the same reason and not for what it left
        with pytest.raises(OperationalError, match="nowhere"):
            await migrate(database_url)
    async with connected(database_url):
        assert "half" not in (await read_schema()).columns
        assert await missing_migrations() == ["9999_further"]
