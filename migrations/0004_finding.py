"""What the operator finds deliveries by: state and occasion, and with them the domain, each in the order of time."""

from tortoise import migrations
from tortoise.migrations.operations import RunSQL

_COMING = "status = 'scheduled' OR status = 'held' OR status = 'uncertain'"
_ENDED = "status = 'sent' OR status = 'failed' OR status = 'cancelled'"


class Migration(migrations.Migration):
    dependencies = [("mailbox", "0003_readers")]  # noqa: RUF012 - the base class says so

    operations = [  # noqa: RUF012
        # A query for one of these states is seen to be within the condition, on both databases.
        RunSQL(f"CREATE INDEX deliveries_coming ON deliveries (status, occasion, due_at, id) WHERE {_COMING}"),
        RunSQL(f"CREATE INDEX deliveries_ended ON deliveries (status, occasion, status_at, id) WHERE {_ENDED}"),
        RunSQL(
            "CREATE INDEX deliveries_coming_there ON deliveries (domain_mac, status, occasion, due_at, id)"
            f" WHERE {_COMING}"
        ),
        RunSQL(
            "CREATE INDEX deliveries_ended_there ON deliveries (domain_mac, status, occasion, status_at, id)"
            f" WHERE {_ENDED}"
        ),
        RunSQL("DROP INDEX deliveries_held"),
        RunSQL("DROP INDEX deliveries_sent"),
        RunSQL("DROP INDEX deliveries_failed"),
        RunSQL("DROP INDEX deliveries_cancelled"),
    ]
