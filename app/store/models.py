"""The tables. Their CHECK constraints and partial indexes are in `migrations/`."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.domain.refusal import Reason
from app.domain.status import AttemptResult, HeldReason, Occasion, Status


class Letter(Model):
    """After a purge the `*_sealed` columns are empty; `cipher.LetterCipher` opens them with `id` and `revision`."""

    id = fields.UUIDField(primary_key=True)
    token_hash = fields.CharField(64, unique=True)
    revision = fields.IntField()
    token_sealed = fields.BinaryField(null=True)
    recipient_email_sealed = fields.BinaryField(null=True)
    recipient_name_sealed = fields.BinaryField(null=True)
    sender_email_sealed = fields.BinaryField(null=True)
    sender_name_sealed = fields.BinaryField(null=True)
    subject_sealed = fields.BinaryField(null=True)
    body_sealed = fields.BinaryField(null=True)
    recipient_hmac = fields.CharField(32)
    recipient_domain_hmac = fields.CharField(32, null=True)
    sender_hmac = fields.CharField(32, null=True)
    language = fields.CharField(8)
    timezone = fields.CharField(64)
    written_at = fields.DatetimeField()
    send_at = fields.DatetimeField()
    second_send_at = fields.DatetimeField(null=True)
    purged_at = fields.DatetimeField(null=True)
    reader_token_hash = fields.CharField(64, null=True)
    stopped_at = fields.DatetimeField(null=True)
    confirmed_at = fields.DatetimeField(null=True)
    # The end of the edit window.
    sealed_at = fields.DatetimeField(null=True)
    over_quota = fields.BooleanField(default=False)

    class Meta:
        table = "letters"


class Delivery(Model):
    """One promised sending of a letter or of a notice; `edition` counts the notices of one occasion."""

    id = fields.BigIntField(primary_key=True, generated=True)
    letter: fields.ForeignKeyRelation[Letter] = fields.ForeignKeyField(
        "mailbox.Letter", related_name="deliveries", on_delete=fields.RESTRICT
    )
    letter_id: UUID
    occasion = fields.CharEnumField(Occasion, max_length=16)
    edition = fields.IntField(default=1)
    notice = fields.BooleanField(default=False)
    status = fields.CharEnumField(Status, max_length=16)
    status_at = fields.DatetimeField()
    promised_at = fields.DatetimeField()
    due_at = fields.DatetimeField()
    message_id = fields.CharField(255, unique=True)
    domain_hmac = fields.CharField(32)
    attempts = fields.IntField(default=0)
    unanswered = fields.IntField(default=0)
    first_refused_at = fields.DatetimeField(null=True)
    held_reason = fields.CharEnumField(HeldReason, max_length=16, null=True)
    sent_at = fields.DatetimeField(null=True)
    claim_token = fields.UUIDField(null=True)
    claimed_by: fields.ForeignKeyNullableRelation["Worker"] = fields.ForeignKeyField(
        "mailbox.Worker", related_name="claims", on_delete=fields.RESTRICT, null=True
    )
    claimed_by_id: UUID | None
    # In this row while claimed, so that a reclaimer and a courier see each other's writes: rows of another table
    # would be read from an older snapshot (PostgreSQL, READ COMMITTED).
    handed_over_at = fields.DatetimeField(null=True)
    # The address that must confirm first.
    awaited_hmac = fields.CharField(32, null=True)

    class Meta:
        table = "deliveries"
        unique_together = (("letter", "occasion", "edition"),)


class Confirmation(Model):
    """A request to confirm an address; its link's token is derived from the notice's Message-ID."""

    id = fields.BigIntField(primary_key=True, generated=True)
    address_hmac = fields.CharField(32)
    token_hash = fields.CharField(64, unique=True)
    notice: fields.OneToOneRelation[Delivery] = fields.OneToOneField(
        "mailbox.Delivery", related_name="confirmation", on_delete=fields.RESTRICT
    )
    notice_id: int
    asked_at = fields.DatetimeField()
    used_at = fields.DatetimeField(null=True)

    class Meta:
        table = "confirmations"


class Attempt(Model):
    """Stored when it has ended, with its outcome; `answer` is the reply without addresses and tokens."""

    id = fields.BigIntField(primary_key=True, generated=True)
    delivery: fields.ForeignKeyRelation[Delivery] = fields.ForeignKeyField(
        "mailbox.Delivery", related_name="tries", on_delete=fields.RESTRICT
    )
    delivery_id: int
    claim_token = fields.UUIDField()
    worker_name = fields.CharField(128)
    started_at = fields.DatetimeField()
    handed_over_at = fields.DatetimeField(null=True)
    ended_at = fields.DatetimeField()
    outcome = fields.CharEnumField(AttemptResult, max_length=16)
    code = fields.SmallIntField(null=True)
    enhanced = fields.CharField(16, default="")
    answer = fields.CharField(500, default="")
    reason = fields.CharEnumField(Reason, max_length=16, null=True)

    class Meta:
        table = "attempts"
        unique_together = (("delivery", "claim_token"),)


class Correction(Model):
    """A change of a letter's address; its id holds the time (see `posting.new_row_id`), and quotas count it."""

    id = fields.UUIDField(primary_key=True)
    letter: fields.ForeignKeyRelation[Letter] = fields.ForeignKeyField(
        "mailbox.Letter", related_name="corrections", on_delete=fields.RESTRICT
    )
    letter_id: UUID
    recipient_hmac = fields.CharField(32)
    recipient_domain_hmac = fields.CharField(32)

    class Meta:
        table = "corrections"


class QuotaCount(Model):
    """The count of one minute (since 1970, UTC) for a quota; kept for a day."""

    id = fields.BigIntField(primary_key=True, generated=True)
    scope = fields.CharField(80)
    minute = fields.BigIntField()
    number = fields.IntField()

    class Meta:
        table = "quota_counts"
        unique_together = (("scope", "minute"),)


class UndeliverableAddress(Model):
    """An address to which deliveries are held, because it was refused."""

    address_hmac = fields.CharField(32, primary_key=True)
    since = fields.DatetimeField()

    class Meta:
        table = "undeliverable_addresses"


class BlockedAddress(Model):
    """An address whose owner wants no mail from us."""

    address_hmac = fields.CharField(32, primary_key=True)
    since = fields.DatetimeField()

    class Meta:
        table = "blocked_addresses"


class Worker(Model):
    """A process that may claim; alive while `beat` rises. `trouble`: why the mail server cannot be used, or empty."""

    id = fields.UUIDField(primary_key=True)
    name = fields.CharField(128)
    beat = fields.BigIntField(default=0)
    started_at = fields.DatetimeField()
    seen_at = fields.DatetimeField()
    trouble = fields.CharField(255, default="")
    key_ids = fields.CharField(255, null=True)

    class Meta:
        table = "workers"


class Lease(Model):
    """Exclusive ownership of a role, such as the scheduler's leadership."""

    name = fields.CharField(32, primary_key=True)
    worker: fields.ForeignKeyNullableRelation[Worker] = fields.ForeignKeyField(
        "mailbox.Worker", related_name="leases", on_delete=fields.RESTRICT, null=True
    )
    worker_id: UUID | None
    term = fields.BigIntField(default=0)
    taken_at = fields.DatetimeField(null=True)

    class Meta:
        table = "leases"


class LedgerCounter(Model):
    """See `store.counters`. `quarter`: quarters of an hour since 1970 (UTC); `part`: of rows not compacted yet."""

    id = fields.BigIntField(primary_key=True, generated=True)
    kind = fields.CharField(16)
    notice = fields.BooleanField()
    detail = fields.CharField(16)
    quarter = fields.BigIntField()
    number = fields.BigIntField()
    milliseconds = fields.BigIntField()
    part = fields.BigIntField(default=0)

    class Meta:
        table = "counters"
        unique_together = (("kind", "quarter", "notice", "detail", "part"),)


class JobRun(Model):
    """The last run of a job; `runs` and `milliseconds` count all runs that ended."""

    name = fields.CharField(32, primary_key=True)
    worker_name = fields.CharField(128)
    started_at = fields.DatetimeField()
    ended_at = fields.DatetimeField(null=True)
    next_at = fields.DatetimeField(null=True)
    number = fields.BigIntField(default=0)
    runs = fields.BigIntField(default=0)
    milliseconds = fields.BigIntField(default=0)

    class Meta:
        table = "job_runs"


class Secret(Model):
    """A generated key, sealed by the operator's key, so that it survives a rotation."""

    name = fields.CharField(32, primary_key=True)
    sealed = fields.BinaryField()

    class Meta:
        table = "secrets"


class Account(Model):
    id = fields.BigIntField(primary_key=True, generated=True)
    username = fields.CharField(64, unique=True)
    password_hash = fields.CharField(255)
    created_at = fields.DatetimeField()

    class Meta:
        table = "accounts"


class Session(Model):
    """A login; the cookie holds the token."""

    token_hash = fields.CharField(64, primary_key=True)
    account: fields.ForeignKeyRelation[Account] = fields.ForeignKeyField(
        "mailbox.Account", related_name="sessions", on_delete=fields.CASCADE
    )
    account_id: int
    created_at = fields.DatetimeField()
    seen_at = fields.DatetimeField()

    class Meta:
        table = "sessions"
