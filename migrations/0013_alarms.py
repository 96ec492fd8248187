"""What the operator is told about."""

from tortoise import fields, migrations

from ._tables import CreateTable


class Migration(migrations.Migration):
    dependencies = [("mailbox", "0012_confirmed")]  # noqa: RUF012 - the base class says so

    operations = [  # noqa: RUF012
        CreateTable(
            "RaisedAlert",
            [
                ("name", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32)),
                ("since", fields.DatetimeField()),
                ("rang_at", fields.DatetimeField()),
                ("over_at", fields.DatetimeField(null=True)),
                ("told_at", fields.DatetimeField(null=True)),
                ("tried_at", fields.DatetimeField(null=True)),
                ("tries", fields.IntField(default=0)),
            ],
            table="raised_alerts",
            sql=[
                """
                CREATE TABLE raised_alerts (
                    name VARCHAR(32) NOT NULL PRIMARY KEY,
                    since {moment} NOT NULL,
                    rang_at {moment} NOT NULL,
                    over_at {moment},
                    told_at {moment},
                    tried_at {moment},
                    tries INT NOT NULL DEFAULT 0,
                    CONSTRAINT raised_alarms_tries CHECK (tries >= 0)
                )
                """,
            ],
        ),
    ]
