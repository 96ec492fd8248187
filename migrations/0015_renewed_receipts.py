"""A receipt may be renewed: its letter's days were changed."""

from tortoise import migrations

from ._tables import AlterConstraints


class Migration(migrations.Migration):
    dependencies = [("mailbox", "0014_revisions")]  # noqa: RUF012 - the base class says so

    operations = [  # noqa: RUF012
        AlterConstraints(
            "Delivery",
            {
                "deliveries_notice": """CHECK (
                    notice = (occasion NOT IN ('first', 'second'))
                    AND (edition = 1 OR (edition > 1 AND notice))
                )""",
            },
        )
    ]
