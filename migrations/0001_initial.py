"""The schema of the first release. A released migration is never changed: later ones follow it."""

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete

from app.domain.refusal import Reason
from app.domain.status import AttemptResult, HeldReason, Occasion, Status

from ._tables import CreateTable, RunOn
from ._triggers import POSTGRES, SQLITE

# CHECKs and indexes compare with OR instead of IN: SQLite fills a table for every IN of more than two values, and
# each change of a delivery costs twice as much.


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
            "SecondFactor",
            [
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "account",
                    fields.OneToOneField(
                        "mailbox.Account",
                        source_field="account_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="second_factor",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
                ("enrolment", fields.UUIDField(null=True)),
                ("secret_sealed", fields.BinaryField()),
                ("confirmed_at", fields.DatetimeField(null=True)),
                ("last_step", fields.BigIntField(default=0)),
            ],
            table="second_factors",
            sql=[
                """
                CREATE TABLE second_factors (
                    id {serial},
                    account_id BIGINT NOT NULL UNIQUE REFERENCES accounts (id) ON DELETE CASCADE,
                    enrolment {uuid},
                    secret_sealed {bytes} NOT NULL,
                    confirmed_at {moment},
                    last_step BIGINT NOT NULL
                )
                """,
            ],
        ),
        CreateTable(
            "RecoveryCode",
            [
                ("code_hash", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=64)),
                (
                    "account",
                    fields.ForeignKeyField(
                        "mailbox.Account",
                        source_field="account_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="recovery_codes",
                        on_delete=OnDelete.CASCADE,
                    ),
                ),
            ],
            table="recovery_codes",
            sql=[
                """
                CREATE TABLE recovery_codes (
                    code_hash VARCHAR(64) NOT NULL PRIMARY KEY,
                    account_id BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE
                )
                """,
                "CREATE INDEX recovery_codes_account ON recovery_codes (account_id)",
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
            "Letter",
            [
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("token_hash", fields.CharField(unique=True, max_length=64)),
                ("revision", fields.IntField()),
                ("token_sealed", fields.BinaryField(null=True)),
                ("recipient_email_sealed", fields.BinaryField(null=True)),
                ("recipient_name_sealed", fields.BinaryField(null=True)),
                ("sender_email_sealed", fields.BinaryField(null=True)),
                ("sender_name_sealed", fields.BinaryField(null=True)),
                ("subject_sealed", fields.BinaryField(null=True)),
                ("body_sealed", fields.BinaryField(null=True)),
                ("recipient_hmac", fields.CharField(max_length=32)),
                ("recipient_domain_hmac", fields.CharField(null=True, max_length=32)),
                ("sender_hmac", fields.CharField(null=True, max_length=32)),
                ("language", fields.CharField(max_length=8)),
                ("timezone", fields.CharField(max_length=64)),
                ("written_at", fields.DatetimeField()),
                ("send_at", fields.DatetimeField()),
                ("second_send_at", fields.DatetimeField(null=True)),
                ("purged_at", fields.DatetimeField(null=True)),
                ("reader_token_hash", fields.CharField(null=True, max_length=64)),
                ("stopped_at", fields.DatetimeField(null=True)),
                ("confirmed_at", fields.DatetimeField(null=True)),
                ("sealed_at", fields.DatetimeField(null=True)),
                ("over_quota", fields.BooleanField(default=False)),
            ],
            table="letters",
            sql=[
                """
                CREATE TABLE letters (
                    id {uuid} NOT NULL PRIMARY KEY,
                    token_hash VARCHAR(64) NOT NULL UNIQUE,
                    revision INT NOT NULL DEFAULT 0,
                    token_sealed {bytes},
                    recipient_email_sealed {bytes},
                    recipient_name_sealed {bytes},
                    sender_email_sealed {bytes},
                    sender_name_sealed {bytes},
                    subject_sealed {bytes},
                    body_sealed {bytes},
                    recipient_hmac VARCHAR(32) NOT NULL,
                    recipient_domain_hmac VARCHAR(32),
                    sender_hmac VARCHAR(32),
                    language VARCHAR(8) NOT NULL,
                    timezone VARCHAR(64) NOT NULL,
                    written_at {moment} NOT NULL,
                    send_at {moment} NOT NULL,
                    second_send_at {moment},
                    purged_at {moment},
                    reader_token_hash VARCHAR(64),
                    stopped_at {moment},
                    confirmed_at {moment},
                    sealed_at {moment},
                    over_quota {flag} NOT NULL DEFAULT false,
                    CONSTRAINT letters_sealed_at CHECK (
                        sealed_at IS NULL OR (sealed_at >= written_at AND sealed_at <= send_at)
                    ),
                    CONSTRAINT letters_revision CHECK (revision >= 0),
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
                "CREATE INDEX letters_recipient ON letters (recipient_hmac, id)",
                "CREATE INDEX letters_sender ON letters (sender_hmac, id) WHERE sender_hmac IS NOT NULL",
                "CREATE INDEX letters_kept ON letters (id) WHERE purged_at IS NULL",
                "CREATE INDEX letters_reader ON letters (reader_token_hash) WHERE reader_token_hash IS NOT NULL",
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
                ("key_ids", fields.CharField(null=True, max_length=255)),
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
                    trouble VARCHAR(255) NOT NULL DEFAULT '',
                    key_ids VARCHAR(255)
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
                        description="FIRST: first\nSECOND: second\nRECEIPT: receipt\nREFUSAL: refusal\nCONFIRMATION: confirmation\nLINKS: links",
                        enum_type=Occasion,
                        max_length=16,
                    ),
                ),
                ("edition", fields.IntField(default=1)),
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
                        description="OPERATOR: operator\nFIRST_REFUSED: first_refused\nOVERDUE: overdue\nUNDELIVERABLE: undeliverable\nUNREADABLE: unreadable\nBLOCKED: blocked\nUNCONFIRMED: unconfirmed\nQUOTA: quota",
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
                ("awaited_hmac", fields.CharField(null=True, max_length=32)),
            ],
            table="deliveries",
            unique_together=(("letter", "occasion", "edition"),),
            sql=[
                """
                CREATE TABLE deliveries (
                    id {serial},
                    letter_id {uuid} NOT NULL REFERENCES letters (id) ON DELETE RESTRICT,
                    occasion VARCHAR(16) NOT NULL,
                    edition INT NOT NULL DEFAULT 1,
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
                    awaited_hmac VARCHAR(32),
                    CONSTRAINT deliveries_one_each UNIQUE (letter_id, occasion, edition),
                    CONSTRAINT deliveries_occasion CHECK (
                        occasion IN ('first', 'second', 'receipt', 'refusal', 'confirmation', 'links')
                    ),
                    CONSTRAINT deliveries_status CHECK (
                        status = 'scheduled' OR status = 'claimed' OR status = 'sent' OR status = 'uncertain'
                        OR status = 'held' OR status = 'failed' OR status = 'cancelled'
                    ),
                    CONSTRAINT deliveries_sent_at CHECK ((sent_at IS NOT NULL) = (status = 'sent')),
                    CONSTRAINT deliveries_claim_token CHECK ((claim_token IS NOT NULL) = (status = 'claimed')),
                    CONSTRAINT deliveries_claimed_by CHECK ((claimed_by_id IS NOT NULL) = (status = 'claimed')),
                    CONSTRAINT deliveries_handed_over CHECK (handed_over_at IS NULL OR status = 'claimed'),
                    CONSTRAINT deliveries_held_reason CHECK (
                        (held_reason IS NOT NULL) = (status = 'held')
                        AND (held_reason IS NULL
                            OR held_reason IN ('operator', 'first_refused', 'overdue', 'undeliverable',
                            'unreadable', 'blocked', 'unconfirmed', 'quota'))
                        AND (awaited_hmac IS NULL AND (held_reason IS NULL OR held_reason <> 'unconfirmed')
                            OR awaited_hmac IS NOT NULL AND (status = 'cancelled'
                            OR (held_reason IS NOT NULL AND held_reason = 'unconfirmed')))
                    ),
                    CONSTRAINT deliveries_notice CHECK (
                        notice = (occasion NOT IN ('first', 'second')) AND (edition = 1 OR (edition > 1 AND notice))
                    ),
                    CONSTRAINT deliveries_counts CHECK (unanswered >= 0 AND attempts >= unanswered)
                )
                """,
                "CREATE INDEX deliveries_due_letter ON deliveries (due_at, id) WHERE status = 'scheduled' AND NOT notice",
                "CREATE INDEX deliveries_due_notice ON deliveries (due_at, id) WHERE status = 'scheduled' AND notice",
                "CREATE INDEX deliveries_claimed ON deliveries (claimed_by_id) WHERE claimed_by_id IS NOT NULL",
                "CREATE INDEX deliveries_uncertain ON deliveries (due_at, id) WHERE status = 'uncertain'",
                "CREATE INDEX deliveries_scheduled ON deliveries (occasion, due_at, id) WHERE status = 'scheduled'",
                "CREATE INDEX deliveries_held ON deliveries (occasion, due_at, id) WHERE status = 'held'",
                "CREATE INDEX deliveries_ended ON deliveries (status, occasion, status_at, id) WHERE status = 'sent' OR status = 'failed' OR status = 'cancelled'",
                "CREATE INDEX deliveries_coming_there ON deliveries (domain_hmac, status, occasion, due_at, id) WHERE status = 'scheduled' OR status = 'held'",
                "CREATE INDEX deliveries_ended_there ON deliveries (domain_hmac, status, occasion, status_at, id) WHERE status = 'sent' OR status = 'failed' OR status = 'cancelled'",
                "CREATE INDEX deliveries_awaited ON deliveries (awaited_hmac) WHERE held_reason = 'unconfirmed'",
                "CREATE INDEX deliveries_unconfirmed ON deliveries (status_at, id) WHERE held_reason = 'unconfirmed'",
                "CREATE INDEX deliveries_held_for ON deliveries (held_reason, occasion, due_at, id) WHERE status = 'held'",
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
                (
                    "reason",
                    fields.CharEnumField(
                        null=True,
                        description="NO_SUCH_ADDRESS: no_such_address\nMAILBOX_CLOSED: mailbox_closed\nMAILBOX_FULL: mailbox_full\nTOO_LARGE: too_large\nPOLICY: policy\nMESSAGE: message\nOURS: ours\nDEFERRED: deferred\nTOO_LONG: too_long",
                        enum_type=Reason,
                        max_length=16,
                    ),
                ),
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
                    reason VARCHAR(16),
                    CONSTRAINT attempts_reason CHECK (
                        reason IS NULL
                        OR (reason IN ('no_such_address', 'mailbox_closed', 'mailbox_full', 'too_large',
                            'policy', 'message', 'ours', 'deferred', 'too_long') AND outcome IN ('transient',
                            'permanent'))
                    ),
                    CONSTRAINT attempts_one_per_claim UNIQUE (delivery_id, claim_token),
                    CONSTRAINT attempts_outcome CHECK (
                        outcome = 'accepted' OR outcome = 'transient' OR outcome = 'permanent'
                        OR outcome = 'unanswered'
                    ),
                    CONSTRAINT attempts_handed_over CHECK (
                        handed_over_at IS NOT NULL OR outcome IN ('transient', 'permanent')
                    )
                )
                """,
                "CREATE INDEX attempts_refused ON attempts (id) WHERE outcome <> 'accepted'",
            ],
        ),
        CreateTable(
            "Confirmation",
            [
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("address_hmac", fields.CharField(max_length=32)),
                ("token_hash", fields.CharField(unique=True, max_length=64)),
                (
                    "notice",
                    fields.OneToOneField(
                        "mailbox.Delivery",
                        source_field="notice_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="confirmation",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("asked_at", fields.DatetimeField()),
                ("used_at", fields.DatetimeField(null=True)),
            ],
            table="confirmations",
            sql=[
                """
                CREATE TABLE confirmations (
                    id {serial},
                    address_hmac VARCHAR(32) NOT NULL,
                    token_hash VARCHAR(64) NOT NULL UNIQUE,
                    notice_id BIGINT NOT NULL UNIQUE REFERENCES deliveries (id) ON DELETE RESTRICT,
                    asked_at {moment} NOT NULL,
                    used_at {moment}
                )
                """,
                "CREATE INDEX confirmations_hmac ON confirmations (address_hmac, id)",
            ],
        ),
        CreateTable(
            "Correction",
            [
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                (
                    "letter",
                    fields.ForeignKeyField(
                        "mailbox.Letter",
                        source_field="letter_id",
                        db_constraint=True,
                        to_field="id",
                        related_name="corrections",
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("recipient_hmac", fields.CharField(max_length=32)),
                ("recipient_domain_hmac", fields.CharField(max_length=32)),
            ],
            table="corrections",
            sql=[
                """
                CREATE TABLE corrections (
                    id {uuid} NOT NULL PRIMARY KEY,
                    letter_id {uuid} NOT NULL REFERENCES letters (id) ON DELETE RESTRICT,
                    recipient_hmac VARCHAR(32) NOT NULL,
                    recipient_domain_hmac VARCHAR(32) NOT NULL
                )
                """,
                "CREATE INDEX corrections_letter ON corrections (letter_id, id)",
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
            "BlockedAddress",
            [
                ("address_hmac", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32)),
                ("since", fields.DatetimeField()),
            ],
            table="blocked_addresses",
            sql=[
                """
                CREATE TABLE blocked_addresses (
                    address_hmac VARCHAR(32) NOT NULL PRIMARY KEY,
                    since {moment} NOT NULL
                )
                """,
            ],
        ),
        CreateTable(
            "QuotaCount",
            [
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("scope", fields.CharField(max_length=80)),
                ("minute", fields.BigIntField()),
                ("number", fields.IntField()),
            ],
            table="quota_counts",
            unique_together=(("scope", "minute"),),
            sql=[
                """
                CREATE TABLE quota_counts (
                    id {serial},
                    scope VARCHAR(80) NOT NULL,
                    minute BIGINT NOT NULL,
                    number INT NOT NULL,
                    CONSTRAINT quota_counts_one_each UNIQUE (scope, minute),
                    CONSTRAINT quota_counts_number CHECK (number > 0)
                )
                """,
            ],
        ),
        CreateTable(
            "LedgerCounter",
            [
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("kind", fields.CharField(max_length=16)),
                ("notice", fields.BooleanField()),
                ("detail", fields.CharField(max_length=16)),
                ("quarter", fields.BigIntField()),
                ("number", fields.BigIntField()),
                ("milliseconds", fields.BigIntField()),
                ("part", fields.BigIntField(default=0)),
            ],
            table="counters",
            unique_together=(("kind", "quarter", "notice", "detail", "part"),),
            sql=[
                """
                CREATE TABLE counters (
                    id {serial},
                    kind VARCHAR(16) NOT NULL,
                    notice {flag} NOT NULL,
                    detail VARCHAR(16) NOT NULL,
                    quarter BIGINT NOT NULL,
                    number BIGINT NOT NULL,
                    milliseconds BIGINT NOT NULL,
                    part BIGINT NOT NULL DEFAULT 0,
                    CONSTRAINT counters_parts UNIQUE (kind, quarter, notice, detail, part),
                    CONSTRAINT counters_kind CHECK (
                        kind = 'waiting' OR kind = 'sent' OR kind = 'uncertain' OR kind = 'held' OR kind = 'failed'
                        OR kind = 'cancelled' OR kind = 'accepted' OR kind = 'transient' OR kind = 'permanent'
                        OR kind = 'unanswered'
                    )
                )
                """,
            ],
        ),
        CreateTable(
            "JobRun",
            [
                ("name", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32)),
                ("worker_name", fields.CharField(max_length=128)),
                ("started_at", fields.DatetimeField()),
                ("ended_at", fields.DatetimeField(null=True)),
                ("next_at", fields.DatetimeField(null=True)),
                ("number", fields.BigIntField(default=0)),
                ("runs", fields.BigIntField(default=0)),
                ("milliseconds", fields.BigIntField(default=0)),
            ],
            table="job_runs",
            sql=[
                """
                CREATE TABLE job_runs (
                    name VARCHAR(32) NOT NULL PRIMARY KEY,
                    worker_name VARCHAR(128) NOT NULL,
                    started_at {moment} NOT NULL,
                    ended_at {moment},
                    next_at {moment},
                    number BIGINT NOT NULL DEFAULT 0,
                    runs BIGINT NOT NULL DEFAULT 0,
                    milliseconds BIGINT NOT NULL DEFAULT 0,
                    CONSTRAINT job_runs_counts CHECK (number >= 0 AND runs >= 0 AND milliseconds >= 0)
                )
                """,
            ],
        ),
        CreateTable(
            "Pause",
            [
                ("name", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=16)),
                ("since", fields.DatetimeField()),
                ("who", fields.CharField(max_length=128)),
            ],
            table="pauses",
            sql=[
                """
                CREATE TABLE pauses (
                    name VARCHAR(16) NOT NULL PRIMARY KEY,
                    since {moment} NOT NULL,
                    who VARCHAR(128) NOT NULL,
                    CONSTRAINT pauses_name CHECK (name = 'sending')
                )
                """,
            ],
        ),
        CreateTable(
            "OperatorAction",
            [
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("at", fields.DatetimeField()),
                ("who", fields.CharField(max_length=128)),
                ("client", fields.CharField(default="", max_length=64)),
                ("action", fields.CharField(max_length=32)),
                ("subject", fields.CharField(default="", max_length=255)),
                ("asked", fields.IntField(null=True)),
                ("changed", fields.IntField(null=True)),
            ],
            table="operator_actions",
            sql=[
                """
                CREATE TABLE operator_actions (
                    id {serial},
                    at {moment} NOT NULL,
                    who VARCHAR(128) NOT NULL,
                    client VARCHAR(64) NOT NULL,
                    action VARCHAR(32) NOT NULL,
                    subject VARCHAR(255) NOT NULL,
                    asked INT,
                    changed INT,
                    CONSTRAINT operator_actions_named CHECK (who <> '' AND action <> ''),
                    CONSTRAINT operator_actions_counts CHECK (
                        (asked IS NULL OR asked >= 0) AND (changed IS NULL OR changed >= 0)
                    )
                )
                """,
                "CREATE INDEX operator_actions_sign_ins ON operator_actions (who, client, at) WHERE action = 'sign_in'",
            ],
        ),
        CreateTable(
            "DeliveryAction",
            [
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("delivery_id", fields.BigIntField()),
                ("at", fields.DatetimeField()),
                ("who", fields.CharField(max_length=128)),
                ("action", fields.CharField(max_length=32)),
            ],
            table="delivery_actions",
            sql=[
                """
                CREATE TABLE delivery_actions (
                    id {serial},
                    delivery_id BIGINT NOT NULL,
                    at {moment} NOT NULL,
                    who VARCHAR(128) NOT NULL,
                    action VARCHAR(32) NOT NULL,
                    CONSTRAINT delivery_actions_named CHECK (who <> '' AND action <> '')
                )
                """,
                "CREATE INDEX delivery_actions_delivery ON delivery_actions (delivery_id, id)",
            ],
        ),
        CreateTable(
            "BulkAction",
            [
                ("id", fields.UUIDField(primary_key=True, unique=True, db_index=True)),
                ("action", fields.CharField(max_length=32)),
                ("who", fields.CharField(max_length=128)),
                ("client", fields.CharField(default="", max_length=64)),
                ("selection", fields.TextField(default="")),
                ("chosen", fields.TextField(default="")),
                ("asked", fields.IntField()),
                ("newest_id", fields.BigIntField(default=0)),
                ("cursor", fields.CharField(default="", max_length=64)),
                ("seen", fields.IntField(default=0)),
                ("changed", fields.IntField(default=0)),
                ("begun_at", fields.DatetimeField()),
                ("ended_at", fields.DatetimeField(null=True)),
            ],
            table="bulk_actions",
            sql=[
                """
                CREATE TABLE bulk_actions (
                    id {uuid} NOT NULL PRIMARY KEY,
                    action VARCHAR(32) NOT NULL,
                    who VARCHAR(128) NOT NULL,
                    client VARCHAR(64) NOT NULL,
                    selection TEXT NOT NULL,
                    chosen TEXT NOT NULL,
                    asked INT NOT NULL,
                    newest_id BIGINT NOT NULL DEFAULT 0,
                    cursor VARCHAR(64) NOT NULL,
                    seen INT NOT NULL,
                    changed INT NOT NULL,
                    begun_at {moment} NOT NULL,
                    ended_at {moment},
                    CONSTRAINT bulk_actions_counts CHECK (asked >= 0 AND changed >= 0 AND seen >= changed)
                )
                """,
                "CREATE INDEX bulk_actions_going_on ON bulk_actions (begun_at) WHERE ended_at IS NULL",
            ],
        ),
        CreateTable(
            "RaisedAlert",
            [
                ("name", fields.CharField(primary_key=True, unique=True, db_index=True, max_length=32)),
                ("since", fields.DatetimeField()),
                ("fired_at", fields.DatetimeField()),
                ("ended_at", fields.DatetimeField(null=True)),
                ("notified_at", fields.DatetimeField(null=True)),
                ("attempted_at", fields.DatetimeField(null=True)),
                ("attempts", fields.IntField(default=0)),
            ],
            table="raised_alerts",
            sql=[
                """
                CREATE TABLE raised_alerts (
                    name VARCHAR(32) NOT NULL PRIMARY KEY,
                    since {moment} NOT NULL,
                    fired_at {moment} NOT NULL,
                    ended_at {moment},
                    notified_at {moment},
                    attempted_at {moment},
                    attempts INT NOT NULL DEFAULT 0,
                    CONSTRAINT raised_alerts_attempts CHECK (attempts >= 0)
                )
                """,
            ],
        ),
        RunOn(sqlite=SQLITE, postgres=POSTGRES),
    ]
