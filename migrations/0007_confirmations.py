"""What waits for a confirmation, the confirmations themselves, and notices that may be sent again."""

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.migrations.operations import AddField, RunSQL

from app.domain.status import HeldReason, Occasion

from ._tables import AddColumn, AlterConstraints, CreateTable


class Migration(migrations.Migration):
    dependencies = [("mailbox", "0006_tallies")]  # noqa: RUF012 - the base class says so

    operations = [  # noqa: RUF012
        AddColumn("Delivery", "edition", fields.IntField(default=1), definition="INT NOT NULL DEFAULT 1"),
        AddField("Delivery", "awaited_hmac", fields.CharField(null=True, max_length=32)),
        AlterConstraints(
            "Delivery",
            {
                "deliveries_one_each": "UNIQUE (letter_id, occasion, edition)",
                "deliveries_occasion": """CHECK (
                    occasion IN ('first', 'second', 'receipt', 'refusal', 'confirmation', 'links')
                )""",
                "deliveries_notice": """CHECK (
                    notice = (occasion NOT IN ('first', 'second'))
                    AND (edition = 1 OR (edition > 1 AND occasion IN ('refusal', 'confirmation', 'links')))
                )""",
                # What waits for a confirmation can go nowhere but out of the mailbox, whoever tries.
                "deliveries_held_reason": """CHECK (
                    (held_reason IS NOT NULL) = (status = 'held')
                    AND (
                        held_reason IS NULL
                        OR held_reason IN (
                            'operator', 'first_refused', 'overdue', 'undeliverable', 'unreadable', 'blocked',
                            'unconfirmed'
                        )
                    )
                    AND (
                        awaited_hmac IS NULL AND (held_reason IS NULL OR held_reason <> 'unconfirmed')
                        OR awaited_hmac IS NOT NULL AND (
                            status = 'cancelled' OR (held_reason IS NOT NULL AND held_reason = 'unconfirmed')
                        )
                    )
                )""",
            },
            fields={
                "occasion": fields.CharEnumField(
                    description="FIRST: first\nSECOND: second\nRECEIPT: receipt\nREFUSAL: refusal\nCONFIRMATION: confirmation\nLINKS: links",
                    enum_type=Occasion,
                    max_length=16,
                ),
                "held_reason": fields.CharEnumField(
                    null=True,
                    description="OPERATOR: operator\nFIRST_REFUSED: first_refused\nOVERDUE: overdue\nUNDELIVERABLE: undeliverable\nUNREADABLE: unreadable\nBLOCKED: blocked\nUNCONFIRMED: unconfirmed",
                    enum_type=HeldReason,
                    max_length=16,
                ),
            },
            unique_together=(("letter", "occasion", "edition"),),
        ),
        RunSQL("CREATE INDEX deliveries_awaited ON deliveries (awaited_hmac) WHERE held_reason = 'unconfirmed'"),
        RunSQL("CREATE INDEX deliveries_unconfirmed ON deliveries (status_at, id) WHERE held_reason = 'unconfirmed'"),
        CreateTable(
            "Confirmation",
            [
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("address_hmac", fields.CharField(max_length=32)),
                ("token_hash", fields.CharField(unique=True, max_length=64)),
                (
                    "notice",
                    fields.OneToOneField(
                        "mailbox.Delivery",
                        source_field="notice_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="confirmation",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("asked_at", fields.DatetimeField()),
                ("used_at", fields.DatetimeField(null=True)),
            ],
            table="confirmations",
            sql=[
                """
                CREATE TABLE confirmations (
                    id {serial},
                    address_hmac VARCHAR(32) NOT NULL,
                    token_hash VARCHAR(64) NOT NULL UNIQUE,
                    notice_id BIGINT NOT NULL UNIQUE REFERENCES deliveries (id) ON DELETE RESTRICT,
                    asked_at {moment} NOT NULL,
                    used_at {moment}
                )
                """,
                "CREATE INDEX confirmations_hmac ON confirmations (address_hmac, id)",
            ],
        ),
    ]
