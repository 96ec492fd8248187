"""What a refusal may be about, and the tables by which `retry.judge` tells: pure.

An entry names its source: an RFC's section, or the product whose documentation or source has these words.
"""

import re
from enum import StrEnum
from typing import Literal, NamedTuple


class Reason(StrEnum):
    """What a refusal is about. DEFERRED and MAILBOX_FULL are for now, the others for good.

    | about   | reasons                                                                             |
    |---------|-------------------------------------------------------------------------------------|
    | reader  | no_such_address (which is not written to again), mailbox_closed, mailbox_full       |
    | message | too_large, policy, message; `message` is also what is not known, the cautious guess |
    | us      | ours                                                                                |
    | neither | deferred, and too_long: deferred for days                                           |
    """

    NO_SUCH_ADDRESS = "no_such_address"
    MAILBOX_CLOSED = "mailbox_closed"
    MAILBOX_FULL = "mailbox_full"
    TOO_LARGE = "too_large"
    POLICY = "policy"
    MESSAGE = "message"
    OURS = "ours"
    DEFERRED = "deferred"
    TOO_LONG = "too_long"

    @property
    def permanent(self) -> bool:
        return self not in (Reason.DEFERRED, Reason.MAILBOX_FULL)

    @property
    def about(self) -> Literal["reader", "message", "us", ""]:
        match self:
            case Reason.NO_SUCH_ADDRESS | Reason.MAILBOX_CLOSED | Reason.MAILBOX_FULL:
                return "reader"
            case Reason.TOO_LARGE | Reason.POLICY | Reason.MESSAGE:
                return "message"
            case Reason.OURS:
                return "us"
        return ""


class Words(NamedTuple):
    """A pattern in an answer (lower case, addresses taken out), what it means, and who says so.

    `codes`: how a basic code begins under which it counts. Where `reason` is None, the codes alone decide.
    """

    reason: Reason | None
    codes: str
    pattern: re.Pattern[str]
    source: str


def _words(reason: Reason | None, codes: str, *rows: tuple[str, str]) -> tuple[Words, ...]:
    return tuple(Words(reason, codes, re.compile(pattern), source) for pattern, source in rows)


OUTRANKING = (
    *_words(
        None,
        "",
        (r"recipient address rejected: un(verified|deliverable) address", "Postfix, ADDRESS_VERIFICATION_README"),
        (r"recipient verify callout", "Exim, verify.c; as with Postfix, what follows is another server's"),
    ),
    *_words(
        Reason.POLICY,
        "5",
        (r"resolver\.rst", "Exchange: the reader takes mail from some senders only; it says `authentication required`"),
    ),
    *_words(
        Reason.OURS,
        "",  # relaying, logging in and quotas count under any code
        (
            r"relay(ing)?( access| operation| mail| to \S+)? (is )?(denied|rejected|prohibited|disallowed|not (permitted|allowed))",  # noqa: E501
            "Postfix, SMTPD_ACCESS_README; Exim's default configuration; sendmail, confRELAY_MSG; Stalwart",
        ),
        (
            r"(not (currently )?(permitted|allowed|authori[sz]ed) to|unable to|can ?not|do not|don't) relay",
            "Exchange 5.7.54, cPanel",
        ),
        (r"mail relay denied|relay limit|no relaying|invalid credentials for relay", "Gmail, answer 3726730"),
        (r"allowed rcpthosts", "qmail-smtpd.c"),
        (r"^i cannot deliver mail for", "Haraka, connection.js, where no plugin allows relaying"),
        (r"authentication (is )?required|requires? (smtp )?authentication", "RFC 4954 §6; MailEnable, hMailServer"),
        (r"must (first )?(log ?in|authenticate)|(log ?in|authenticate) first", "Stalwart; POP before SMTP"),
        (r"not (been )?authenticated|unauthenticated senders?", "Exchange 5.7.57; SendGrid"),
        (
            r"smtp authentication|not logged in|check for new mail before",
            "cPanel; Postfix, sender_login_maps",
        ),
        (r"max(imum)? (emails|messages|recipients|defers and failures) per (hour|day|minute)", "cPanel"),
        (r"sending (limit|quota|rate)|throttling failure", "Gmail 5.4.5; SES, SMTP response codes"),
        (r"messaging limits|maximum credits|unusual sending activity", "SendGrid; Zoho 5.4.6"),
        (r"(hourly|daily|monthly) (\S+ ){0,3}(limit|quota)", "SES; Exchange 5.1.90"),
        (r"exceeded your (\S+ ){0,3}(limit|quota)|submissionquota", "outMail; Exchange 5.2.0"),
        (r"storedrv\.submission", "Exchange Online: of the mailbox that we send from"),
        (r"sending (is )?(suspended|paused|disabled)|outgoing( mail)? blocked", "SES; Zoho 5.1.8"),
        (r"you sent too many|not allowed to send more", "Naver"),
    ),
    *_words(
        Reason.OURS,
        "5",  # our name, sender, domain and network: a 4xx about these is put off
        (r"\b(helo|ehlo)\b", "Postfix, reject_non_fqdn_helo_hostname; cPanel, `Invalid HELO name`"),
        (r"sender('s)? (email )?(address|domain|identity|verif)", "Postfix, Exim, GMX"),
        (r"domain of (the )?sender|envelope sender", "sendmail, check_mail; qmail-smtpd.c, badmailfrom"),
        (r"return (path|address)|from: address|bad outbound sender", "Yahoo; Exchange 5.1.8"),
        (r"(address|domain|identity) (is )?not verified|verified sender|failed the check in region", "SES; SendGrid"),
        (r"permissions? to send as|not owned by", "Exchange 5.7.60; Postfix, reject_sender_login_mismatch"),
        (r"not authori[sz]ed to (perform|send (email |mail )?(directly|as|from|in the name))", "SES; Gmail 5.7.1"),
        (r"client host|blocked using|spamhaus|reverse dns|\bptr\b", "Postfix, reject_rbl_client; Exim's examples"),
        (
            r"sending ip|poor reputation|unauthorized ip|\b(your|the|this) ip\b",
            "Exchange 5.7.606; Mimecast, Gmail",
        ),
        (r"connections will not be accepted", "Yahoo, BL21"),
    ),
)
"""Words that outrank all codes: `550 5.1.2 Relay not allowed` is no missing address. The first that is found counts."""

OPEN = (
    *_words(
        Reason.NO_SUCH_ADDRESS,
        "5",
        (r"(user|recipient|mailbox|account|address)( is)? (unknown|not found)", "Postfix, sendmail, Yahoo"),
        (r"(user|recipient|mailbox|account|address) (doesn't|does not|do not) exist", "Dovecot, Gmail"),
        (
            r"(no such|unknown|non-?existent) (local )?(user|recipient|mailbox|address|person)",
            "Exim, cPanel, hMailServer",
        ),
        (r"no mailbox here by that name|doesn't have an? \S+ account", "qmail, vpopmail; Yahoo"),
    ),
    *_words(
        Reason.MAILBOX_FULL,
        "5",
        (r"(mailbox|account|user|inbox)( is)? full|over ?quota|quota exceeded", "Dovecot, Exim"),
        (r"exceeded (its |the )?(storage|disk|mailbox)", "RFC 5321 §4.2.3, 552"),
    ),
    *_words(
        Reason.MAILBOX_CLOSED,
        "5",
        (r"(account|mailbox|user)( has been| is)? (disabled|suspended|inactive|closed)", "Gmail, Yahoo, Naver"),
    ),
    *_words(
        Reason.TOO_LARGE,
        "5",
        (r"(message|mail|size) (is )?too (large|big|long)|size exceeds|exceeds .{0,30}size", "RFC 1870 §6.1; Postfix"),
    ),
)
"""Words that decide where the codes leave it open."""

NOT_LOGGED_IN = frozenset({523, 524, 525, 530, 534, 535, 538})
"""RFC 4954 §6, RFC 5248 §3; 525 is also Brevo's for a network that it does not know."""

ENHANCED = {
    **dict.fromkeys(("1.1", "1.2", "1.3", "1.6", "1.10"), Reason.NO_SUCH_ADDRESS),
    "2.1": Reason.MAILBOX_CLOSED,
    "2.2": Reason.MAILBOX_FULL,
    **dict.fromkeys(("2.3", "3.4"), Reason.TOO_LARGE),
    **dict.fromkeys(("1.7", "1.8", "1.90", "4.5", "4.6"), Reason.OURS),
    **dict.fromkeys((f"7.{detail}" for detail in (8, 10, 11, 13, *range(20, 31), 54, 57, 60, 64)), Reason.OURS),
}
"""RFC 3463 §3, RFC 4954 §6, RFC 7372, RFC 7505; 1.90 and 7.54 on are Exchange's, 4.5 and 4.6 Gmail's and Zoho's."""

SUBJECTS = {"6": Reason.MESSAGE, "7": Reason.POLICY}
"""By the middle number (RFC 3463 §3.7, §3.8)."""

EXCHANGE_ON_SENDERS = re.compile(r"7\.[5-7]\d\d")
"""Exchange Online speaks so of the sender's address, network, domain or tenant (5.7.501 to 5.7.750)."""

AT_MAIL = dict.fromkeys((500, 501, 502, 503, 555), Reason.MESSAGE) | {552: Reason.TOO_LARGE}
"""What at MAIL is about a command, not about the sender; all else there is about us, who alone have been named."""
