"""What is sealed is bound to how often it was written anew, so that nothing from before opens any more."""

from tortoise import fields, migrations
from tortoise.migrations.operations import AddField

from ._tables import AddColumn


class Migration(migrations.Migration):
    dependencies = [("mailbox", "0013_alarms")]  # noqa: RUF012 - the base class says so

    operations = [  # noqa: RUF012
        AddColumn(
            "Letter",
            "revision",
            fields.IntField(),
            # Letters that are there were sealed without one, and open so until they are changed.
            definition="INT NOT NULL DEFAULT 0 CONSTRAINT letters_revision CHECK (revision >= 0)",
        ),
        AddField("SecondFactor", "enrolment", fields.UUIDField(null=True)),
    ]
