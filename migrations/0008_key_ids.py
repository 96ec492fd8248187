"""Which keys a worker can open letters with."""

from tortoise import fields, migrations
from tortoise.migrations.operations import AddField


class Migration(migrations.Migration):
    dependencies = [("mailbox", "0007_confirmations")]  # noqa: RUF012 - the base class says so

    operations = [AddField("Worker", "key_ids", fields.CharField(null=True, max_length=255))]  # noqa: RUF012
