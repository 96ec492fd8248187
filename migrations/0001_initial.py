"""The ledger, the workers and the accounts."""

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete

from app.domain.status import AttemptResult, HeldReason, Occasion, Status

from ._tables import CreateTable


class Migration(migrations.Migration):
    initial = True

    operations = [  # noqa: RUF012 - the base class says so
        CreateTable(
            "Account",
            [
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("username", fields.CharField(unique=True, max_length=64)),
                ("password_hash", fields.CharField(max_length=255)),
                ("created_at", fields.DatetimeField()),
            ],
            table="accounts",
            sql=[
                """
                CREATE TABLE accounts (
                    id {serial},
                    username VARCHAR(64) NOT NULL UNIQUE,
                    password_hash VARCHAR(255) NOT NULL,
                    created_at {moment} NOT NULL
                )
                """,
            ],
        ),
        CreateTable(
            "Letter",
            [
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("token_hash", fields.CharField(unique=True, max_length=64)),
                ("token_sealed", fields.BinaryField(null=True)),
                ("recipient_email_sealed", fields.BinaryField(null=True)),
                ("recipient_name_sealed", fields.BinaryField(null=True)),
                ("sender_email_sealed", fields.BinaryField(null=True)),
                ("sender_name_sealed", fields.BinaryField(null=True)),
                ("subject_sealed", fields.BinaryField(null=True)),
                ("body_sealed", fields.BinaryField(null=True)),
                ("recipient_hmac", fields.CharField(max_length=32)),
                ("sender_hmac", fields.CharField(null=True, max_length=32)),
                ("language", fields.CharField(max_length=8)),
                ("timezone", fields.CharField(max_length=64)),
                ("written_at", fields.DatetimeField()),
                ("send_at", fields.DatetimeField()),
                ("second_send_at", fields.DatetimeField(null=True)),
                ("purged_at", fields.DatetimeField(null=True)),
            ],
            table="letters",
            sql=[
                """
                CREATE TABLE letters (
                    id {uuid} NOT NULL PRIMARY KEY,
                    token_hash VARCHAR(64) NOT NULL UNIQUE,
                    token_sealed {bytes},
                    recipient_email_sealed {bytes},
                    recipient_name_sealed {bytes},
                    sender_email_sealed {bytes},
                    sender_name_sealed {bytes},
                    subject_sealed {bytes},
                    body_sealed {bytes},
                    recipient_hmac VARCHAR(32) NOT NULL,
                    sender_hmac VARCHAR(32),
                    language VARCHAR(8) NOT NULL,
                    timezone VARCHAR(64) NOT NULL,
                    written_at {moment} NOT NULL,
                    send_at {moment} NOT NULL,
                    second_send_at {moment},
                    purged_at {moment},
                    CONSTRAINT letters_arrive_later CHECK (send_at > written_at),
                    CONSTRAINT letters_second_after_first CHECK (second_send_at IS NULL OR second_send_at > send_at),
                    CONSTRAINT letters_sealed_until_purged CHECK (
                        (purged_at IS NULL) = (token_sealed IS NOT NULL)
                        AND (purged_at IS NULL) = (recipient_email_sealed IS NOT NULL)
                        AND (purged_at IS NULL) = (recipient_name_sealed IS NOT NULL)
                        AND (purged_at IS NULL) = (sender_email_sealed IS NOT NULL)
                        AND (purged_at IS NULL) = (sender_name_sealed IS NOT NULL)
                        AND (purged_at IS NULL) = (subject_sealed IS NOT NULL)
                        AND (purged_at IS NULL) = (body_sealed IS NOT NULL)
                    )
                )
                """,
                "CREATE INDEX letters_recipient ON letters (recipient_hmac)",
                "CREATE INDEX letters_sender ON letters (sender_hmac) WHERE sender_hmac IS NOT NULL",
            ],
        ),
        CreateTable(
            "Secret",
            [
                ("name", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32)),
                ("sealed", fields.BinaryField()),
            ],
            table="secrets",
            sql=[
                """
                CREATE TABLE secrets (
                    name VARCHAR(32) NOT NULL PRIMARY KEY,
                    sealed {bytes} NOT NULL
                )
                """,
            ],
        ),
        CreateTable(
            "Session",
            [
                ("token_hash", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64)),
                (
                    "account",
                    fields.ForeignKeyField(
                        "mailbox.Account",
                        source_field="account_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="sessions",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("created_at", fields.DatetimeField()),
                ("seen_at", fields.DatetimeField()),
            ],
            table="sessions",
            sql=[
                """
                CREATE TABLE sessions (
                    token_hash VARCHAR(64) NOT NULL PRIMARY KEY,
                    account_id BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
                    created_at {moment} NOT NULL,
                    seen_at {moment} NOT NULL
                )
                """,
                "CREATE INDEX sessions_account ON sessions (account_id)",
            ],
        ),
        CreateTable(
            "UndeliverableAddress",
            [
                ("address_hmac", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32)),
                ("since", fields.DatetimeField()),
            ],
            table="undeliverable_addresses",
            sql=[
                """
                CREATE TABLE undeliverable_addresses (
                    address_hmac VARCHAR(32) NOT NULL PRIMARY KEY,
                    since {moment} NOT NULL
                )
                """,
            ],
        ),
        CreateTable(
            "Worker",
            [
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("name", fields.CharField(max_length=128)),
                ("beat", fields.BigIntField(default=0)),
                ("started_at", fields.DatetimeField()),
                ("seen_at", fields.DatetimeField()),
                ("trouble", fields.CharField(default="", max_length=255)),
            ],
            table="workers",
            sql=[
                """
                CREATE TABLE workers (
                    id {uuid} NOT NULL PRIMARY KEY,
                    name VARCHAR(128) NOT NULL,
                    beat BIGINT NOT NULL DEFAULT 0,
                    started_at {moment} NOT NULL,
                    seen_at {moment} NOT NULL,
                    trouble VARCHAR(255) NOT NULL DEFAULT ''
                )
                """,
            ],
        ),
        CreateTable(
            "Delivery",
            [
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "letter",
                    fields.ForeignKeyField(
                        "mailbox.Letter",
                        source_field="letter_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="deliveries",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                (
                    "occasion",
                    fields.CharEnumField(
                        description="FIRST: first\nSECOND: second\nRECEIPT: receipt\nREFUSAL: refusal",
                        enum_type=Occasion,
                        max_length=16,
                    ),
                ),
                ("notice", fields.BooleanField(default=False)),
                (
                    "status",
                    fields.CharEnumField(
                        description="SCHEDULED: scheduled\nCLAIMED: claimed\nSENT: sent\nUNCERTAIN: uncertain\nHELD: held\nFAILED: failed\nCANCELLED: cancelled",
                        enum_type=Status,
                        max_length=16,
                    ),
                ),
                ("status_at", fields.DatetimeField()),
                ("promised_at", fields.DatetimeField()),
                ("due_at", fields.DatetimeField()),
                ("message_id", fields.CharField(unique=True, max_length=255)),
                ("domain_hmac", fields.CharField(max_length=32)),
                ("attempts", fields.IntField(default=0)),
                ("unanswered", fields.IntField(default=0)),
                ("first_refused_at", fields.DatetimeField(null=True)),
                (
                    "held_reason",
                    fields.CharEnumField(
                        null=True,
                        description="OPERATOR: operator\nFIRST_REFUSED: first_refused\nOVERDUE: overdue\nUNDELIVERABLE: undeliverable\nUNREADABLE: unreadable",
                        enum_type=HeldReason,
                        max_length=16,
                    ),
                ),
                ("sent_at", fields.DatetimeField(null=True)),
                ("claim_token", fields.UUIDField(null=True)),
                (
                    "claimed_by",
                    fields.ForeignKeyField(
                        "mailbox.Worker",
                        source_field="claimed_by_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="claims",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("handed_over_at", fields.DatetimeField(null=True)),
            ],
            table="deliveries",
            unique_together=(("letter", "occasion"),),
            sql=[
                """
                CREATE TABLE deliveries (
                    id {serial},
                    letter_id {uuid} NOT NULL REFERENCES letters (id) ON DELETE RESTRICT,
                    occasion VARCHAR(16) NOT NULL,
                    notice {flag} NOT NULL,
                    status VARCHAR(16) NOT NULL,
                    status_at {moment} NOT NULL,
                    promised_at {moment} NOT NULL,
                    due_at {moment} NOT NULL,
                    message_id VARCHAR(255) NOT NULL UNIQUE,
                    domain_hmac VARCHAR(32) NOT NULL,
                    attempts INT NOT NULL DEFAULT 0,
                    unanswered INT NOT NULL DEFAULT 0,
                    first_refused_at {moment},
                    held_reason VARCHAR(16),
                    sent_at {moment},
                    claim_token {uuid},
                    claimed_by_id {uuid} REFERENCES workers (id) ON DELETE RESTRICT,
                    handed_over_at {moment},
                    CONSTRAINT deliveries_one_each UNIQUE (letter_id, occasion),
                    CONSTRAINT deliveries_occasion CHECK (occasion IN ('first', 'second', 'receipt', 'refusal')),
                    CONSTRAINT deliveries_status CHECK (
                        status IN ('scheduled', 'claimed', 'sent', 'uncertain', 'held', 'failed', 'cancelled')
                    ),
                    CONSTRAINT deliveries_sent_at CHECK ((sent_at IS NOT NULL) = (status = 'sent')),
                    CONSTRAINT deliveries_claim_token CHECK ((claim_token IS NOT NULL) = (status = 'claimed')),
                    CONSTRAINT deliveries_claimed_by CHECK ((claimed_by_id IS NOT NULL) = (status = 'claimed')),
                    CONSTRAINT deliveries_handed_over CHECK (handed_over_at IS NULL OR status = 'claimed'),
                    CONSTRAINT deliveries_held_reason CHECK (
                        (held_reason IS NOT NULL) = (status = 'held')
                        AND (
                            held_reason IS NULL
                            OR held_reason IN ('operator', 'first_refused', 'overdue', 'undeliverable', 'unreadable')
                        )
                    ),
                    CONSTRAINT deliveries_notice CHECK (notice = (occasion NOT IN ('first', 'second'))),
                    CONSTRAINT deliveries_counts CHECK (unanswered >= 0 AND attempts >= unanswered)
                )
                """,
                "CREATE INDEX deliveries_due_letter ON deliveries (due_at, id) WHERE status = 'scheduled' AND NOT notice",
                "CREATE INDEX deliveries_due_notice ON deliveries (due_at, id) WHERE status = 'scheduled' AND notice",
                # By what the foreign key asks for when a worker is deleted: it knows nothing of states.
                "CREATE INDEX deliveries_claimed ON deliveries (claimed_by_id) WHERE claimed_by_id IS NOT NULL",
                "CREATE INDEX deliveries_held ON deliveries (due_at, id) WHERE status = 'held'",
                "CREATE INDEX deliveries_uncertain ON deliveries (due_at, id) WHERE status = 'uncertain'",
                "CREATE INDEX deliveries_sent ON deliveries (status_at, id) WHERE status = 'sent'",
                "CREATE INDEX deliveries_failed ON deliveries (status_at, id) WHERE status = 'failed'",
                "CREATE INDEX deliveries_cancelled ON deliveries (status_at, id) WHERE status = 'cancelled'",
            ],
        ),
        CreateTable(
            "Attempt",
            [
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "delivery",
                    fields.ForeignKeyField(
                        "mailbox.Delivery",
                        source_field="delivery_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="tries",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("claim_token", fields.UUIDField()),
                ("worker_name", fields.CharField(max_length=128)),
                ("started_at", fields.DatetimeField()),
                ("handed_over_at", fields.DatetimeField(null=True)),
                ("ended_at", fields.DatetimeField()),
                (
                    "outcome",
                    fields.CharEnumField(
                        description="ACCEPTED: accepted\nTRANSIENT: transient\nPERMANENT: permanent\nUNANSWERED: unanswered",
                        enum_type=AttemptResult,
                        max_length=16,
                    ),
                ),
                ("code", fields.SmallIntField(null=True)),
                ("enhanced", fields.CharField(default="", max_length=16)),
                ("answer", fields.CharField(default="", max_length=500)),
            ],
            table="attempts",
            unique_together=(("delivery", "claim_token"),),
            sql=[
                """
                CREATE TABLE attempts (
                    id {serial},
                    delivery_id BIGINT NOT NULL REFERENCES deliveries (id) ON DELETE RESTRICT,
                    claim_token {uuid} NOT NULL,
                    worker_name VARCHAR(128) NOT NULL,
                    started_at {moment} NOT NULL,
                    handed_over_at {moment},
                    ended_at {moment} NOT NULL,
                    outcome VARCHAR(16) NOT NULL,
                    code SMALLINT,
                    enhanced VARCHAR(16) NOT NULL,
                    answer VARCHAR(500) NOT NULL,
                    CONSTRAINT attempts_one_per_claim UNIQUE (delivery_id, claim_token),
                    CONSTRAINT attempts_outcome CHECK (outcome IN ('accepted', 'transient', 'permanent', 'unanswered')),
                    CONSTRAINT attempts_handed_over CHECK (
                        handed_over_at IS NOT NULL OR outcome IN ('transient', 'permanent')
                    )
                )
                """,
            ],
        ),
        CreateTable(
            "Lease",
            [
                ("name", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32)),
                (
                    "worker",
                    fields.ForeignKeyField(
                        "mailbox.Worker",
                        source_field="worker_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name="leases",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("term", fields.BigIntField(default=0)),
                ("taken_at", fields.DatetimeField(null=True)),
            ],
            table="leases",
            sql=[
                """
                CREATE TABLE leases (
                    name VARCHAR(32) NOT NULL PRIMARY KEY,
                    worker_id {uuid} REFERENCES workers (id) ON DELETE RESTRICT,
                    term BIGINT NOT NULL,
                    taken_at {moment}
                )
                """,
                "INSERT INTO leases (name, term) VALUES ('scheduler', 0)",
            ],
        ),
    ]
