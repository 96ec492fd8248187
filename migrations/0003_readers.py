"""The reader's link, the letters that readers stopped, and the addresses that they blocked."""

from tortoise import fields, migrations
from tortoise.migrations.operations import AddField, RunSQL

from app.domain.status import HeldReason

from ._tables import AlterConstraints, CreateTable


class Migration(migrations.Migration):
    dependencies = [("mailbox", "0002_quotas_and_keeping")]  # noqa: RUF012 - the base class says so

    operations = [  # noqa: RUF012
        AddField("Letter", "reader_token_hash", fields.CharField(null=True, max_length=64)),
        AddField("Letter", "stopped_at", fields.DatetimeField(null=True)),
        RunSQL("CREATE INDEX letters_reader ON letters (reader_token_hash) WHERE reader_token_hash IS NOT NULL"),
        CreateTable(
            "BlockedAddress",
            [
                ("address_hmac", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32)),
                ("since", fields.DatetimeField()),
            ],
            table="blocked_addresses",
            sql=[
                """
                CREATE TABLE blocked_addresses (
                    address_hmac VARCHAR(32) NOT NULL PRIMARY KEY,
                    since {moment} NOT NULL
                )
                """,
            ],
        ),
        AlterConstraints(
            "Delivery",
            {
                "deliveries_held_reason": """CHECK (
                    (held_reason IS NOT NULL) = (status = 'held')
                    AND (
                        held_reason IS NULL
                        OR held_reason IN
                            ('operator', 'first_refused', 'overdue', 'undeliverable', 'unreadable', 'blocked')
                    )
                )""",
            },
            fields={
                "held_reason": fields.CharEnumField(
                    null=True,
                    description="OPERATOR: operator\nFIRST_REFUSED: first_refused\nOVERDUE: overdue\nUNDELIVERABLE: undeliverable\nUNREADABLE: unreadable\nBLOCKED: blocked",
                    enum_type=HeldReason,
                    max_length=16,
                ),
            },
        ),
    ]
