"""What was judged of a refusal is kept beside the answer: the stage that it depends on is not."""

from tortoise import fields, migrations

from app.domain.refusal import Reason

from ._tables import AddColumn

_REASONS = ", ".join(f"'{reason}'" for reason in Reason)


class Migration(migrations.Migration):
    dependencies = [("mailbox", "0021_accounts")]  # noqa: RUF012 - the base class says so

    operations = [  # noqa: RUF012
        AddColumn(
            "Attempt",
            "reason",
            fields.CharEnumField(Reason, max_length=16, null=True),
            definition=f"""VARCHAR(16) CONSTRAINT attempts_reason CHECK (
                reason IS NULL OR (reason IN ({_REASONS}) AND outcome IN ('transient', 'permanent'))
            )""",
        ),
    ]
