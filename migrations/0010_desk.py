"""Which deliveries a request for many is about; second factors of accounts."""

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete

from ._tables import AddColumn, CreateTable


class Migration(migrations.Migration):
    dependencies = [("mailbox", "0009_trail")]  # noqa: RUF012 - the base class says so

    operations = [  # noqa: RUF012
        AddColumn("BulkAction", "newest_id", fields.BigIntField(default=0), definition="BIGINT NOT NULL DEFAULT 0"),
        CreateTable(
            "SecondFactor",
            [
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "account",
                    fields.OneToOneField(
                        "mailbox.Account",
                        source_field="account_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="second_factor",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("secret_sealed", fields.BinaryField()),
                ("confirmed_at", fields.DatetimeField(null=True)),
                ("last_step", fields.BigIntField(default=0)),
            ],
            table="second_factors",
            sql=[
                """
                CREATE TABLE second_factors (
                    id {serial},
                    account_id BIGINT NOT NULL UNIQUE REFERENCES accounts (id) ON DELETE CASCADE,
                    secret_sealed {bytes} NOT NULL,
                    confirmed_at {moment},
                    last_step BIGINT NOT NULL
                )
                """,
            ],
        ),
        CreateTable(
            "RecoveryCode",
            [
                ("code_hash", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64)),
                (
                    "account",
                    fields.ForeignKeyField(
                        "mailbox.Account",
                        source_field="account_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="recovery_codes",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
            ],
            table="recovery_codes",
            sql=[
                """
                CREATE TABLE recovery_codes (
                    code_hash VARCHAR(64) NOT NULL PRIMARY KEY,
                    account_id BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE
                )
                """,
                "CREATE INDEX recovery_codes_account ON recovery_codes (account_id)",
            ],
        ),
    ]
