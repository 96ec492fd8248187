"""The addresses that were corrected, as far as quotas count them."""

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete

from ._tables import CreateTable


class Migration(migrations.Migration):
    dependencies = [("mailbox", "0004_finding")]  # noqa: RUF012 - the base class says so

    operations = [  # noqa: RUF012
        CreateTable(
            "Correction",
            [
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                (
                    "letter",
                    fields.ForeignKeyField(
                        "mailbox.Letter",
                        source_field="letter_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="corrections",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("recipient_hmac", fields.CharField(max_length=32)),
                ("recipient_domain_hmac", fields.CharField(max_length=32)),
            ],
            table="corrections",
            sql=[
                """
                CREATE TABLE corrections (
                    id {uuid} NOT NULL PRIMARY KEY,
                    letter_id {uuid} NOT NULL REFERENCES letters (id) ON DELETE RESTRICT,
                    recipient_hmac VARCHAR(32) NOT NULL,
                    recipient_domain_hmac VARCHAR(32) NOT NULL
                )
                """,
                "CREATE INDEX corrections_letter ON corrections (letter_id, id)",
                "CREATE INDEX corrections_recipient ON corrections (recipient_hmac, id)",
                "CREATE INDEX corrections_domain ON corrections (recipient_domain_hmac, id)",
            ],
        ),
    ]
