"""Counts of the last day for the quotas, and letters that are held because an address has had its quota."""

from tortoise import fields, migrations

from app.domain.status import HeldReason

from ._tables import AddColumn, AlterConstraints, CreateTable


class Migration(migrations.Migration):
    dependencies = [("mailbox", "0016_held_for")]  # noqa: RUF012 - the base class says so

    operations = [  # noqa: RUF012
        CreateTable(
            "QuotaCount",
            [
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("scope", fields.CharField(max_length=80)),
                ("minute", fields.BigIntField()),
                ("number", fields.IntField()),
            ],
            table="quota_counts",
            unique_together=(("scope", "minute"),),
            sql=[
                """
                CREATE TABLE quota_counts (
                    id {serial},
                    scope VARCHAR(80) NOT NULL,
                    minute BIGINT NOT NULL,
                    number INT NOT NULL,
                    CONSTRAINT quota_counts_one_each UNIQUE (scope, minute),
                    CONSTRAINT quota_counts_number CHECK (number > 0)
                )
                """,
            ],
        ),
        AddColumn(
            "Letter", "over_quota", fields.BooleanField(default=False), definition="{flag} NOT NULL DEFAULT false"
        ),
        AlterConstraints(
            "Delivery",
            {
                "deliveries_held_reason": """CHECK (
                    (held_reason IS NOT NULL) = (status = 'held')
                    AND (
                        held_reason IS NULL
                        OR held_reason IN (
                            'operator', 'first_refused', 'overdue', 'undeliverable', 'unreadable', 'blocked',
                            'unconfirmed', 'quota'
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
                "held_reason": fields.CharEnumField(
                    null=True,
                    description="OPERATOR: operator\nFIRST_REFUSED: first_refused\nOVERDUE: overdue\nUNDELIVERABLE: undeliverable\nUNREADABLE: unreadable\nBLOCKED: blocked\nUNCONFIRMED: unconfirmed\nQUOTA: quota",
                    enum_type=HeldReason,
                    max_length=16,
                ),
            },
        ),
    ]
