"""Networks of earlier sign-ins are found in the activity log; a second factor has a row only once it is on."""

from tortoise import migrations
from tortoise.migrations.operations import RunSQL


class Migration(migrations.Migration):
    dependencies = [("mailbox", "0018_quota_counts")]  # noqa: RUF012 - the base class says so

    operations = [  # noqa: RUF012
        RunSQL("CREATE INDEX operator_actions_sign_ins ON operator_actions (who, client, at) WHERE action = 'sign_in'"),
        RunSQL("DELETE FROM second_factors WHERE confirmed_at IS NULL"),
    ]
