"""What the quotas count by, and the way to the letters that are still kept."""

from tortoise import fields, migrations
from tortoise.migrations.operations import AddField, RunSQL


class Migration(migrations.Migration):
    dependencies = [("mailbox", "0001_initial")]  # noqa: RUF012 - the base class says so

    operations = [  # noqa: RUF012
        AddField("Letter", "recipient_domain_hmac", fields.CharField(null=True, max_length=32)),
        # A address_hmac is followed by the id, which is in the order of writing: the newest are counted.
        RunSQL("DROP INDEX letters_recipient"),
        RunSQL("DROP INDEX letters_sender"),
        RunSQL("CREATE INDEX letters_recipient ON letters (recipient_hmac, id)"),
        RunSQL("CREATE INDEX letters_domain ON letters (recipient_domain_hmac, id)"),
        RunSQL("CREATE INDEX letters_sender ON letters (sender_hmac, id) WHERE sender_hmac IS NOT NULL"),
        RunSQL("CREATE INDEX letters_kept ON letters (id) WHERE purged_at IS NULL"),
    ]
