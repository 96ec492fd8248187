"""Until when a letter can be read and changed by its writer."""

from tortoise import fields, migrations

from ._tables import AddColumn


class Migration(migrations.Migration):
    dependencies = [("mailbox", "0010_desk")]  # noqa: RUF012 - the base class says so

    operations = [  # noqa: RUF012
        AddColumn(
            "Letter",
            "sealed_at",
            fields.DatetimeField(null=True),
            definition="{moment} CONSTRAINT letters_sealed_at"
            " CHECK (sealed_at IS NULL OR (sealed_at >= written_at AND sealed_at <= send_at))",
        ),
    ]
