"""What operators did, for good; what they asked to be done to many; and whether they paused sending."""

from tortoise import fields, migrations

from ._tables import CreateTable, RunOn

_RECORDS = ("operator_actions", "delivery_actions")

_REFUSE = """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
    END $$
"""


def _append_only_sqlite(table: str) -> list[str]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    there = f"EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id)"  # noqa: S608 - a name of ours
    return [
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}",
        # INSERT OR REPLACE deletes without firing the trigger above.
        f"CREATE TRIGGER {table}_append_only BEFORE INSERT ON {table} WHEN {there} {refuse}",
    ]


def _append_only_postgres(table: str) -> list[str]:
    refuse = "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    return [
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}",
        f"CREATE TRIGGER {table}_append_only BEFORE TRUNCATE ON {table} {refuse}",
    ]


class Migration(migrations.Migration):
    dependencies = [("mailbox", "0008_key_ids")]  # noqa: RUF012 - the base class says so

    operations = [  # noqa: RUF012
        CreateTable(
            "OperatorAction",
            [
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("at", fields.DatetimeField()),
                ("who", fields.CharField(max_length=128)),
                ("client", fields.CharField(default="", max_length=64)),
                ("action", fields.CharField(max_length=32)),
                ("subject", fields.CharField(default="", max_length=255)),
                ("asked", fields.IntField(null=True)),
                ("changed", fields.IntField(null=True)),
            ],
            table="operator_actions",
            sql=[
                """
                CREATE TABLE operator_actions (
                    id {serial},
                    at {moment} NOT NULL,
                    who VARCHAR(128) NOT NULL,
                    client VARCHAR(64) NOT NULL,
                    action VARCHAR(32) NOT NULL,
                    subject VARCHAR(255) NOT NULL,
                    asked INT,
                    changed INT,
                    CONSTRAINT operator_actions_named CHECK (who <> '' AND action <> ''),
                    CONSTRAINT operator_actions_counts CHECK (
                        (asked IS NULL OR asked >= 0) AND (changed IS NULL OR changed >= 0)
                    )
                )
                """,
            ],
        ),
        CreateTable(
            "DeliveryAction",
            [
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("delivery_id", fields.BigIntField()),
                ("at", fields.DatetimeField()),
                ("who", fields.CharField(max_length=128)),
                ("action", fields.CharField(max_length=32)),
            ],
            table="delivery_actions",
            sql=[
                """
                CREATE TABLE delivery_actions (
                    id {serial},
                    delivery_id BIGINT NOT NULL,
                    at {moment} NOT NULL,
                    who VARCHAR(128) NOT NULL,
                    action VARCHAR(32) NOT NULL,
                    CONSTRAINT delivery_actions_named CHECK (who <> '' AND action <> '')
                )
                """,
                "CREATE INDEX delivery_actions_delivery ON delivery_actions (delivery_id, id)",
            ],
        ),
        RunOn(
            sqlite=[statement for table in _RECORDS for statement in _append_only_sqlite(table)],
            postgres=[
                _REFUSE,
                *(statement for table in _RECORDS for statement in _append_only_postgres(table)),
            ],
        ),
        CreateTable(
            "BulkAction",
            [
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("action", fields.CharField(max_length=32)),
                ("who", fields.CharField(max_length=128)),
                ("client", fields.CharField(default="", max_length=64)),
                ("selection", fields.TextField(default="")),
                ("chosen", fields.TextField(default="")),
                ("asked", fields.IntField()),
                ("place", fields.CharField(default="", max_length=64)),
                ("seen", fields.IntField(default=0)),
                ("changed", fields.IntField(default=0)),
                ("begun_at", fields.DatetimeField()),
                ("ended_at", fields.DatetimeField(null=True)),
            ],
            table="bulk_actions",
            sql=[
                """
                CREATE TABLE bulk_actions (
                    id {uuid} NOT NULL PRIMARY KEY,
                    action VARCHAR(32) NOT NULL,
                    who VARCHAR(128) NOT NULL,
                    client VARCHAR(64) NOT NULL,
                    selection TEXT NOT NULL,
                    chosen TEXT NOT NULL,
                    asked INT NOT NULL,
                    place VARCHAR(64) NOT NULL,
                    seen INT NOT NULL,
                    changed INT NOT NULL,
                    begun_at {moment} NOT NULL,
                    ended_at {moment},
                    CONSTRAINT bulk_actions_counts CHECK (asked >= 0 AND changed >= 0 AND seen >= changed)
                )
                """,
                "CREATE INDEX bulk_actions_going_on ON bulk_actions (begun_at) WHERE ended_at IS NULL",
            ],
        ),
        CreateTable(
            "Pause",
            [
                ("name", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=16)),
                ("since", fields.DatetimeField()),
                ("who", fields.CharField(max_length=128)),
            ],
            table="pauses",
            sql=[
                """
                CREATE TABLE pauses (
                    name VARCHAR(16) NOT NULL PRIMARY KEY,
                    since {moment} NOT NULL,
                    who VARCHAR(128) NOT NULL,
                    CONSTRAINT pauses_name CHECK (name = 'sending')
                )
                """,
            ],
        ),
    ]
