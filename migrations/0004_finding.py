"""What the operator finds deliveries by: state and occasion, and with them the domain, each in the order of time."""

from tortoise import migrations
from tortoise.migrations.operations import RunSQL

_COMING = "status = 'scheduled' OR status = 'held'"
_ENDED = "status = 'sent' OR status = 'failed' OR status = 'cancelled'"


class Migration(migrations.Migration):
    dependencies = [("mailbox", "0003_readers")]  # noqa: RUF012 - the base class says so

    operations = [  # noqa: RUF012
        RunSQL("DROP INDEX deliveries_held"),
        RunSQL("DROP INDEX deliveries_sent"),
        RunSQL("DROP INDEX deliveries_failed"),
        RunSQL("DROP INDEX deliveries_cancelled"),
        # None begins with the state of what is scheduled: SQLite would take it for the claim of what is due.
        RunSQL("CREATE INDEX deliveries_scheduled ON deliveries (occasion, due_at, id) WHERE status = 'scheduled'"),
        RunSQL("CREATE INDEX deliveries_held ON deliveries (occasion, due_at, id) WHERE status = 'held'"),
        # A query for one of these states is seen to be within the condition, on both databases.
        RunSQL(f"CREATE INDEX deliveries_ended ON deliveries (status, occasion, status_at, id) WHERE {_ENDED}"),
        RunSQL(
            "CREATE INDEX deliveries_coming_there ON deliveries (domain_hmac, status, occasion, due_at, id)"
            f" WHERE {_COMING}"
        ),
        RunSQL(
            "CREATE INDEX deliveries_ended_there ON deliveries (domain_hmac, status, occasion, status_at, id)"
            f" WHERE {_ENDED}"
        ),
    ]
