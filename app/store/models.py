"""The tables. Their CHECK constraints and partial indexes stand in `migrations/`."""

from uuid import UUID

from tortoise import fields
from tortoise.models import Model

from app.domain.refusal import Reason
from app.domain.status import AttemptResult, HeldReason, Occasion, Status


class Letter(Model):
    """What the writer wrote, and the promise. `*_sealed` opens with `Vault`, bound to `id` and `revision`.

    A purged letter keeps its dates and its hashes, and has lost what was sealed. `reader_token_hash`
    finds it by the link in its mail (a letter from before there were such links has none), and
    `stopped_at` is since when its reader wants no more of it. Until `sealed_at` its writer may read
    and change it (a letter from before there was such a time has none). `over_quota`: one of its
    addresses had had its quota, so it is held once it is confirmed.
    """

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
    sealed_at = fields.DatetimeField(null=True)
    over_quota = fields.BooleanField(default=False)

    class Meta:
        table = "letters"


class Delivery(Model):
    """One promised sending of a letter, or of a notice about it. See `domain.status.Status`.

    `promised_at` changes only until the letter is sealed; `due_at` starts there and moves with each
    retry. `domain_hmac` is that of the domain it goes to. `attempts` counts the tries that were charged to it,
    `unanswered` those whose answer was lost. `status_at` is when it entered its state. `edition`
    counts the notices of one occasion about one letter. `awaited_hmac` is the address that must
    confirm before this may leave; until then it is held, or has been cancelled.

    `handed_over_at` stands here and not with the attempt while a claim lasts: a reclaimer and a
    courier that race for this row then see one another, and a row in another table would be read
    from an older snapshot (PostgreSQL, READ COMMITTED).
    """

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
    handed_over_at = fields.DatetimeField(null=True)
    awaited_hmac = fields.CharField(32, null=True)

    class Meta:
        table = "deliveries"
        unique_together = (("letter", "occasion", "edition"),)


class Confirmation(Model):
    """That an address was asked to confirm what was written under it, and when its link was used.

    The link is found by its hash; it is made anew from the notice's Message-ID when that is mailed.
    """

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
    """One try at a delivery, written when it has ended, in one transaction with what came of it.

    `handed_over_at` is set where the message's text may have reached the server. `answer` is what
    the server said, with addresses and tokens taken out; `reason` is what was judged of a refusal.
    """

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
    """A letter was given another address; its id tells when, and quotas count it (see `row_ids`)."""

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
    """How much was counted for a quota in one minute (since 1970, UTC); kept for a day, see `store.quotas`."""

    id = fields.BigIntField(primary_key=True, generated=True)
    scope = fields.CharField(80)
    minute = fields.BigIntField()
    number = fields.IntField()

    class Meta:
        table = "quota_counts"
        unique_together = (("scope", "minute"),)


class UndeliverableAddress(Model):
    """An address that is not written to again, known by its HMAC alone."""

    address_hmac = fields.CharField(32, primary_key=True)
    since = fields.DatetimeField()

    class Meta:
        table = "undeliverable_addresses"


class BlockedAddress(Model):
    """An address whose owner wants no mail of ours, known by its HMAC alone."""

    address_hmac = fields.CharField(32, primary_key=True)
    since = fields.DatetimeField()

    class Meta:
        table = "blocked_addresses"


class Worker(Model):
    """A process that may claim. It is alive while `beat` moves; `seen_at` is for people to read.

    `trouble` is why it cannot use the mail server just now, or empty. `key_ids` are those of the keys
    that it can open letters with.
    """

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
    """Something only one worker may hold, such as the scheduler's leadership."""

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
    """A part of a count that triggers keep of deliveries and attempts; see `store.counters`.

    `quarter` is that of an hour, in UTC, since 1970; `milliseconds` are those of all that was counted.
    `part` tells apart what was not folded yet.
    """

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
    """When one of the scheduler's jobs ran last: `ended_at` is None while it runs, `number` what came of it.

    `runs` and `milliseconds` are of all its runs that have ended.
    """

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
    """A key of ours, sealed by the operator's: the finder's stays the same when that one rotates."""

    name = fields.CharField(32, primary_key=True)
    sealed = fields.BinaryField()

    class Meta:
        table = "secrets"


class Account(Model):
    """Somebody who may enter the admin page."""

    id = fields.BigIntField(primary_key=True, generated=True)
    username = fields.CharField(64, unique=True)
    password_hash = fields.CharField(255)
    created_at = fields.DatetimeField()

    class Meta:
        table = "accounts"


class Session(Model):
    """A login. The cookie holds a token, this its hash; logging out deletes the row."""

    token_hash = fields.CharField(64, primary_key=True)
    account: fields.ForeignKeyRelation[Account] = fields.ForeignKeyField(
        "mailbox.Account", related_name="sessions", on_delete=fields.CASCADE
    )
    account_id: int
    created_at = fields.DatetimeField()
    seen_at = fields.DatetimeField()

    class Meta:
        table = "sessions"
