"""Answers of real mail servers and what is judged of them; `python -m tests.answers` writes them to docs/answers.md."""

from pathlib import Path
from typing import NamedTuple

from app.domain.refusal import Reason
from app.domain.retry import Reply, Stage
from app.mail.smtp.replies import reply

PAGE = Path(__file__).parents[1] / "docs" / "answers.md"

DEAD = Reason.NO_SUCH_ADDRESS
CLOSED = Reason.MAILBOX_CLOSED
FULL = Reason.MAILBOX_FULL
LARGE = Reason.TOO_LARGE
POLICY = Reason.POLICY
MESSAGE = Reason.MESSAGE
OURS = Reason.OURS
LATER = Reason.DEFERRED

POSTFIX = "Postfix, postconf(5) and smtpd_check.c"
EXIM = "Exim, its default configuration and acl.c"
SENDMAIL = "sendmail, cf/m4/proto.m4"
QMAIL = "qmail-smtpd.c"
CHKUSER = "chkuser for qmail, chkuser_settings.h"
CPANEL = "cPanel, forum threads on its Exim configuration"
EXCHANGE = "Microsoft Learn, Email non-delivery reports in Exchange Online"
SUBMISSION = "Microsoft Learn, SMTP authenticated submission"
GOOGLE = "Google Workspace Help, Gmail SMTP errors and codes"
SES = "Amazon SES, SMTP response codes; Email sending errors"
YAHOO = "Yahoo Sender Hub, SMTP error codes"
ZOHO = "Zoho Mail Help; ZeptoMail, SMTP error codes"
YANDEX = "Yandex Mail Help, non-delivery reports"
NAVER = "puffinknight.tistory.com/102, returned mails of Korean portals"
DAUM = "oliveit.tistory.com/39, kinds of returned mails (Daum, Kakao)"
SENDGRID = "SendGrid Docs, SMTP errors"
BREVO = "Brevo Help, SMTP errors"
STALWART = "Stalwart, crates/smtp/src/inbound/rcpt.rs"
HARAKA = "Haraka, connection.js"


class Answer(NamedTuple):
    """What a provider says at a stage, what is judged of it, and where its words stand."""

    provider: str
    stage: Stage
    said: str
    reason: Reason
    source: str

    @property
    def reply(self) -> Reply:
        return reply((int(self.said[:3]), self.said[4:].encode()), self.stage)


ANSWERS = (
    Answer("Postfix", "rcpt", "554 5.7.1 <r@x.test>: Relay access denied", OURS, POSTFIX),
    Answer("Postfix", "rcpt", "454 4.7.1 <r@x.test>: Relay access denied", OURS, POSTFIX),
    Answer(
        "Postfix",
        "rcpt",
        "550 5.1.1 <r@x.test>: Recipient address rejected: User unknown in local recipient table",
        DEAD,
        POSTFIX,
    ),
    Answer(
        "Postfix",
        "rcpt",
        "550 5.1.1 <r@x.test>: Recipient address rejected: User unknown in relay recipient table",
        DEAD,
        POSTFIX,
    ),
    Answer(
        "Postfix",
        "rcpt",
        "450 4.1.1 <r@x.test>: Recipient address rejected: unverified address: Address verification in progress",
        LATER,
        POSTFIX,
    ),
    Answer(
        "Postfix",
        "rcpt",
        "450 4.1.1 <r@x.test>: Recipient address rejected: unverified address: "
        "host mx.x.test[192.0.2.1] said: 554 5.7.1 Relay access denied",
        LATER,
        POSTFIX,
    ),
    Answer("Postfix", "rcpt", "450 4.1.2 <r@x.test>: Recipient address rejected: Domain not found", LATER, POSTFIX),
    Answer(
        "Postfix",
        "rcpt",
        "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname",
        OURS,
        POSTFIX,
    ),
    Answer(
        "Postfix",
        "rcpt",
        "450 4.7.1 Client host rejected: cannot find your hostname, [192.0.2.9]",
        LATER,
        POSTFIX,
    ),
    Answer("Postfix", "rcpt", "554 5.7.1 <unknown[192.0.2.9]>: Client host rejected: Access denied", OURS, POSTFIX),
    Answer(
        "Postfix",
        "rcpt",
        "553 5.7.1 <us@x.test>: Sender address rejected: not owned by user us",
        OURS,
        POSTFIX,
    ),
    Answer("Postfix", "rcpt", "450 4.1.8 <us@x.test>: Sender address rejected: Domain not found", LATER, POSTFIX),
    Answer("Postfix", "rcpt", "550 5.1.8 <us@x.test>: Sender address rejected: Domain not found", OURS, POSTFIX),
    Answer("Postfix", "rcpt", "554 5.7.1 <r@x.test>: Recipient address rejected: Access denied", POLICY, POSTFIX),
    Answer("Postfix", "mail", "552 5.3.4 Message size exceeds fixed limit", LARGE, POSTFIX),
    Answer("Postfix", "mail", "452 4.3.1 Insufficient system storage", LATER, POSTFIX),
    Answer("Postfix", "mail", "530 5.7.0 Must issue a STARTTLS command first", OURS, POSTFIX),
    Answer(
        "Postfix",
        "rcpt",
        "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using zen.spamhaus.org",
        OURS,
        POSTFIX,
    ),
    Answer("Postgrey", "rcpt", "450 4.2.0 <r@x.test>: Recipient address rejected: Greylisted", LATER, "postgrey(8)"),
    Answer("Exim", "rcpt", "550 relay not permitted", OURS, EXIM),
    Answer("Exim", "rcpt", "550 Administrative prohibition", MESSAGE, EXIM),
    Answer("Exim", "body", "550 Administrative prohibition", MESSAGE, EXIM),
    Answer("Exim", "rcpt", "550-Verification failed for <us@x.test>\n550 Sender verify failed", OURS, EXIM),
    Answer("Exim", "rcpt", "550 Unrouteable address", MESSAGE, EXIM),
    Answer("Exim", "rcpt", "550 unknown user", DEAD, EXIM),
    Answer("Exim", "body", "550 This message was classified as SPAM", MESSAGE, EXIM),
    Answer("Exim", "rcpt", "451 Temporary local problem - please try later", LATER, EXIM),
    Answer(
        "Exim",
        "rcpt",
        "451-192.0.2.1 : response was: 554 Relay access denied\n451 Could not complete recipient verify callout",
        LATER,
        EXIM,
    ),
    Answer(
        "cPanel",
        "rcpt",
        "550 Domain x.test has exceeded the max emails per hour (150/150 (100%)) allowed.  Message discarded.",
        OURS,
        CPANEL,
    ),
    Answer(
        "cPanel",
        "body",
        "550 Domain x.test has exceeded the max defers and failures per hour (5/5 (100%)) allowed. Message discarded.",
        OURS,
        CPANEL,
    ),
    Answer(
        "cPanel",
        "rcpt",
        "550 [192.0.2.9] is not permitted to relay through this server without authentication.",
        OURS,
        CPANEL,
    ),
    Answer("cPanel", "rcpt", "550 Access denied - Invalid HELO name (See RFC2821 4.1.1.1)", OURS, CPANEL),
    Answer("cPanel", "rcpt", "550 No Such User Here", DEAD, CPANEL),
    Answer("qmail", "rcpt", "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", OURS, QMAIL),
    Answer(
        "mailfront",
        "rcpt",
        "553 5.1.1 Sorry, that domain isn't in my list of allowed rcpthosts.",
        OURS,
        "mailfront, plugin-qmail-smtpd.c",
    ),
    Answer("qmail", "rcpt", "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)", OURS, QMAIL),
    Answer("qmail", "body", "552 sorry, that message size exceeds my databytes limit (#5.3.4)", LARGE, QMAIL),
    Answer("qmail", "rcpt", "451 qq temporary problem (#4.3.0)", LATER, QMAIL),
    Answer("chkuser", "rcpt", "511 sorry, no mailbox here by that name (#5.1.1 - chkuser)", DEAD, CHKUSER),
    Answer("chkuser", "rcpt", "552 sorry, recipient mailbox is full (#5.2.2 - chkuser)", FULL, CHKUSER),
    Answer(
        "sendmail",
        "rcpt",
        "550 5.7.1 <r@x.test>... Relaying denied. Proper authentication required.",
        OURS,
        SENDMAIL,
    ),
    Answer("sendmail", "rcpt", "550 5.1.1 <r@x.test>... User unknown", DEAD, SENDMAIL),
    Answer("sendmail", "rcpt", "550 5.2.1 <r@x.test>... Mailbox disabled for this recipient", CLOSED, SENDMAIL),
    Answer(
        "sendmail",
        "mail",
        "553 5.1.8 <us@x.test>... Domain of sender address us@x.test does not exist",
        OURS,
        SENDMAIL,
    ),
    Answer("sendmail", "mail", "553 5.5.4 <us@x>... Domain name required for sender address us@x", OURS, SENDMAIL),
    Answer("Domino", "mail", "553 Sender domain must exist", OURS, "HCL Domino, inbound sender controls"),
    Answer(
        "Exchange Online",
        "rcpt",
        "550 5.4.1 Recipient address rejected: Access denied. AS(201806281) [DB3EUR04FT011.eop-eur04.test]",
        DEAD,
        EXCHANGE,
    ),
    Answer(
        "Exchange Online",
        "body",
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient r@x.test not found by SMTP address lookup",
        DEAD,
        EXCHANGE,
    ),
    Answer(
        "Exchange Online",
        "body",
        "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
        OURS,
        EXCHANGE,
    ),
    Answer("Exchange", "rcpt", "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", OURS, EXCHANGE),
    Answer("Exchange Online", "rcpt", "550 5.7.64 TenantAttribution; Relay Access Denied", OURS, EXCHANGE),
    Answer(
        "Exchange Online",
        "mail",
        "530 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM",
        OURS,
        EXCHANGE,
    ),
    Answer(
        "Exchange Online",
        "body",
        "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
        OURS,
        EXCHANGE,
    ),
    Answer(
        "Exchange Online",
        "body",
        "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message",
        OURS,
        SUBMISSION,
    ),
    Answer(
        "Exchange Online",
        "body",
        "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionQuotaExceeded",
        OURS,
        SUBMISSION,
    ),
    Answer("Exchange Online", "connect", "432 4.3.2 Concurrent connections limit exceeded", LATER, SUBMISSION),
    Answer(
        "Exchange Online",
        "body",
        "550 5.7.1 RESOLVER.RST.AuthRequired; authentication required",
        POLICY,
        EXCHANGE,
    ),
    Answer("Exchange Online", "body", "550 5.1.8 Access denied, bad outbound sender", OURS, EXCHANGE),
    Answer("Exchange Online", "rcpt", "550 5.7.606 Access denied, banned sending IP [192.0.2.9]", OURS, EXCHANGE),
    Answer("Exchange Online", "body", "550 5.7.705 Access denied, tenant has exceeded threshold", OURS, EXCHANGE),
    Answer("Exchange Online", "body", "554 5.4.6 Hop count exceeded - possible mail loop", MESSAGE, EXCHANGE),
    Answer(
        "Outlook.com",
        "rcpt",
        "550 5.5.0 Requested action not taken: mailbox unavailable",
        MESSAGE,
        "RFC 5321 §4.2.3, whose 550 is also for policy",
    ),
    Answer(
        "Amazon SES",
        "body",
        "554 Message rejected: Email address is not verified. The following identities failed the check in region "
        "US-EAST-1: us@x.test",
        OURS,
        SES,
    ),
    Answer("Amazon SES", "body", "454 Throttling failure: Maximum sending rate exceeded.", OURS, SES),
    Answer("Amazon SES", "body", "454 Throttling failure: Daily message quota exceeded.", OURS, SES),
    Answer("Amazon SES", "auth", "535 Authentication Credentials Invalid", OURS, SES),
    Answer("Amazon SES", "body", "554 Message rejected: Sending suspended for this account.", OURS, SES),
    Answer(
        "Amazon SES",
        "body",
        "554 Access denied: User `arn:aws:iam::1:user/x` is not authorized to perform `ses:SendRawEmail`",
        OURS,
        SES,
    ),
    Answer("Amazon SES", "mail", "501 Invalid MAIL FROM address provided", MESSAGE, SES),
    Answer(
        "Gmail",
        "rcpt",
        "550-5.1.1 The email account that you tried to reach does not exist. Please try\n550 5.1.1 double-checking",
        DEAD,
        GOOGLE,
    ),
    Answer(
        "Gmail",
        "rcpt",
        "550-5.2.1 The email account that you tried to reach is disabled.",
        CLOSED,
        GOOGLE,
    ),
    Answer("Gmail", "rcpt", "452 4.2.2 The email account that you tried to reach is over quota.", FULL, GOOGLE),
    Answer("Gmail", "rcpt", "552 5.2.2 The email account that you tried to reach is over quota.", FULL, GOOGLE),
    Answer(
        "Gmail",
        "rcpt",
        "450 4.2.1 The user you are trying to contact is receiving mail too quickly.",
        LATER,
        GOOGLE,
    ),
    Answer("Gmail", "mail", "550 5.4.5 Daily user sending limit exceeded.", OURS, GOOGLE),
    Answer("Gmail", "mail", "450 4.2.1 Peak SMTP relay limit exceeded for customer.", OURS, GOOGLE),
    Answer(
        "Gmail",
        "body",
        "550 5.7.26 This mail has been blocked because the sender is unauthenticated.",
        OURS,
        GOOGLE,
    ),
    Answer(
        "Gmail",
        "body",
        "550 5.7.1 The IP you're using to send mail is not authorized to send email directly to our servers.",
        OURS,
        GOOGLE,
    ),
    Answer("Gmail", "rcpt", "550 5.7.0 Mail relay denied [192.0.2.9]. Invalid credentials for relay", OURS, GOOGLE),
    Answer("Gmail", "body", "552 5.7.0 This message was blocked because of its content.", POLICY, GOOGLE),
    Answer("Gmail", "body", "552 5.3.4 Your message exceeded Google's message size limits.", LARGE, GOOGLE),
    Answer("Gmail", "body", "421 4.7.0 Try again later, closing connection.", LATER, GOOGLE),
    Answer("Yahoo", "body", "554 delivery error: dd This user doesn't have a yahoo.com account", DEAD, YAHOO),
    Answer("Yahoo", "body", "554 5.7.9 Message not accepted for policy reasons.", POLICY, YAHOO),
    Answer("Yahoo", "mail", "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.9", OURS, YAHOO),
    Answer("Yahoo", "mail", "553 From: address not verified", OURS, YAHOO),
    Answer("Zoho", "mail", "553 Relaying disallowed as us@x.test", OURS, ZOHO),
    Answer("Zoho", "body", "550 5.4.6 Unusual sending activity detected.", OURS, ZOHO),
    Answer("Zoho", "body", "554 5.1.8 Email Outgoing Blocked", OURS, ZOHO),
    Answer("Zoho", "rcpt", "550 5.1.1 <r@x.test> User unknown", DEAD, "smtp.codes/zoho"),
    Answer("Yandex", "rcpt", "553 5.7.1 Sender address rejected: not owned by auth user.", OURS, YANDEX),
    Answer("Yandex", "body", "554 5.7.1 Message rejected under suspicion of SPAM", POLICY, YANDEX),
    Answer("Yandex", "rcpt", "550 5.7.1 No such user!", POLICY, "STANDARDS S5: no 5.7.x blocks an address"),
    Answer("Naver", "rcpt", "550 5.1.1 No such user", DEAD, NAVER),
    Answer("Naver", "rcpt", "550 Account disabled", CLOSED, NAVER),
    Answer("Naver", "body", "552 Requested mail action aborted: exceeded storage allocation", FULL, NAVER),
    Answer(
        "Naver",
        "rcpt",
        "550 5.7.1 <us@x.test>... Error. your access was denied. Since you sent too many e-mails, "
        "you are not allowed to send more e-mails within 24 hours.",
        OURS,
        NAVER,
    ),
    Answer("Naver", "mail", "421 4.3.1 You send too many messages.", LATER, NAVER),
    Answer("Daum", "rcpt", "550 5.1.1 RUSR 192.0.2.9: No such user: <r@x.test>", DEAD, DAUM),
    Answer("Daum", "connect", "421 4.4.5 CCRT 192.0.2.9: Connection refused. Server is busy(RT)", LATER, DAUM),
    Answer("SendGrid", "mail", "550 Unauthenticated senders not allowed", OURS, SENDGRID),
    Answer(
        "SendGrid",
        "body",
        "550 The from address does not match a verified Sender Identity.",
        OURS,
        SENDGRID,
    ),
    Answer("SendGrid", "body", "451 You have exceeded your messaging limits", OURS, SENDGRID),
    Answer("Brevo", "auth", "525 5.7.1 Unauthorized IP address", OURS, BREVO),
    Answer("GMX", "rcpt", "550 Sender address is not allowed.", OURS, "GMX Postmaster, SMTP errors"),
    Answer("Stalwart", "rcpt", "550 5.1.2 Relay not allowed.", OURS, STALWART),
    Answer("Stalwart", "mail", "503 5.5.1 You must authenticate first.", OURS, STALWART),
    Answer("Stalwart", "rcpt", "550 5.1.2 Mailbox does not exist.", DEAD, STALWART),
    Answer("Haraka", "rcpt", "550 I cannot deliver mail for <r@x.test>", OURS, HARAKA),
    Answer(
        "MailEnable",
        "rcpt",
        "503 This mail server requires authentication when attempting to send to a non-local e-mail address.",
        OURS,
        "MailEnable, knowledge base",
    ),
    Answer("hMailServer", "rcpt", "530 SMTP authentication is required.", OURS, "hMailServer, SMTPConnection.cpp"),
    Answer("hMailServer", "rcpt", "550 Unknown user", DEAD, "hMailServer, SMTPConnection.cpp"),
    Answer("any", "rcpt", "551 This host requires authentication", OURS, "RFC 4954 §6, under another code"),
    Answer(
        "outMail",
        "rcpt",
        "554 5.7.1 <r@x.test>: Recipient address rejected: You have exceeded your Outmail quota",
        OURS,
        "prolateral.com, What does SMTP 554 5.7.1 mean",
    ),
    Answer("Dovecot", "rcpt", "550 5.1.1 <r@x.test> User doesn't exist: r@x.test", DEAD, "Dovecot, lmtp-local.c"),
    Answer("Dovecot", "rcpt", "552 5.2.2 <r@x.test> Quota exceeded (mailbox for user is full)", FULL, "Dovecot, quota"),
    Answer("any", "rcpt", "556 5.1.10 Recipient address has null MX", DEAD, "RFC 7505 §4.1"),
    Answer("any", "rcpt", "550 as it says", MESSAGE, "STANDARDS S4: a bare 5xx blocks no address"),
    Answer("any", "rcpt", "551 as it says", MESSAGE, "STANDARDS S4: a bare 5xx blocks no address"),
    Answer("any", "rcpt", "553 as it says", MESSAGE, "STANDARDS S4: a bare 5xx blocks no address"),
    Answer("any", "rcpt", "552 as it says", FULL, "RFC 5321 §4.5.3.1.10"),
    Answer("any", "body", "552 as it says", LARGE, "RFC 5321 §4.2.3"),
    Answer("any", "mail", "550 as it says", OURS, "RFC 5321 §3.3: only the sender has been named"),
    Answer("any", "helo", "501 as it says", OURS, "RFC 5321 §4.1.1.1"),
    Answer("any", "body", "454 as it says", LATER, "RFC 4954 §6"),
)

_WORDS = {
    Reason.NO_SUCH_ADDRESS: "reader: no such address",
    Reason.MAILBOX_CLOSED: "reader: closed",
    Reason.MAILBOX_FULL: "reader: full, for now",
    Reason.TOO_LARGE: "message: too large",
    Reason.POLICY: "message: their rules",
    Reason.MESSAGE: "message",
    Reason.OURS: "**us**",
    Reason.DEFERRED: "for now",
}


def page() -> str:
    """Return docs/answers.md."""
    rows = (
        " | ".join((each.provider, each.stage, f"`{' '.join(each.said.split())}`", _WORDS[each.reason], each.source))
        for each in ANSWERS
    )
    return "\n".join(
        (
            "# What answers of mail servers are taken for",
            "",
            "A refusal is about a reader, about a message, or about us; `app/domain/refusal.py` has the tables",
            "by which `app/domain/retry.py` judges. What is about us ends no letter: sending pauses and goes",
            "on by itself. Only “no such address” keeps an address from being written to again. This page is",
            "written by `python -m tests.answers`, from the answers that the tests play.",
            "",
            "| server | in reply to | answer | is about | source |",
            "| --- | --- | --- | --- | --- |",
            *(f"| {row} |" for row in rows),
            "",
        )
    )


if __name__ == "__main__":
    PAGE.write_text(page())
