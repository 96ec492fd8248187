"""Since when a letter is confirmed, for its page to say so."""

from tortoise import fields, migrations
from tortoise.migrations.operations import AddField


class Migration(migrations.Migration):
    dependencies = [("mailbox", "0011_sealing")]  # noqa: RUF012 - the base class says so

    operations = [AddField("Letter", "confirmed_at", fields.DatetimeField(null=True))]  # noqa: RUF012
