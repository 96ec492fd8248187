"""Texts of the mails, plain and HTML, in both languages."""

import email
import re
from dataclasses import replace
from datetime import timedelta
from email import policy
from typing import Any

import pytest

from app.domain.status import Occasion
from app.mail.envelope import Mail
from tests.unit.mails import (
    COMPOSER,
    ENGLISH,
    FIRST,
    KOREAN,
    LETTERS,
    NOTICES,
    WRITTEN,
    Page,
    part,
    read,
    receipt,
    refusal,
)

MAILS = LETTERS | NOTICES
BARE = LETTERS["bare"]
each_mail = pytest.mark.parametrize("mail", MAILS.values(), ids=MAILS.keys())
each_letter = pytest.mark.parametrize("mail", LETTERS.values(), ids=LETTERS.keys())
each_notice = pytest.mark.parametrize("mail", NOTICES.values(), ids=NOTICES.keys())


# Letters


@pytest.mark.parametrize(
    ("mail", "text"),
    [
        (ENGLISH, "This is its first arrival. It will come once more, on Sunday, 7 December 2025, 21:40 (Seoul time)."),
        (replace(ENGLISH, second_send_at=None), "It comes only this once."),
        (replace(ENGLISH, second_send_at=FIRST), "This is its first arrival.\n"),
        (
            replace(ENGLISH, occasion=Occasion.SECOND),
            "This is its second and last arrival; the first was set for Friday, 14 November 2025, 21:40 (Seoul time).",
        ),
        (ENGLISH, "First arrival, 14 Nov 2025"),
        (replace(ENGLISH, occasion=Occasion.SECOND), "Second arrival, 14 Nov 2025"),
        (ENGLISH, "Written on Friday, 7 November 2025, 21:40 (Seoul time)\n"),
        (ENGLISH, "This letter was on its way for 7 days."),
        (replace(ENGLISH, written_at=FIRST - timedelta(days=1)), "This letter was on its way for 1 day."),
        (ENGLISH, "To: Mina\nFrom: Jun\n"),
        (ENGLISH, "The name above is the one the writer signed with. We have not checked who they are."),
        (BARE, "The writer did not sign with a name, and we have not checked who they are."),
        (KOREAN, "2025년 11월 7일 금요일 21:40(서울 시각)에 쓴 편지\n"),
        (
            KOREAN,
            "이번이 첫 번째 도착이고, 2025년 12월 7일 일요일 21:40(서울 시각)에 한 번 더 찾아갑니다.",
        ),
    ],
)
def test_a_letter_names_its_origin_and_arrivals(mail: Mail, text: str) -> None:
    assert text in part(read(mail), "plain")


def test_the_way_is_counted_in_the_days_of_the_writers_calendar() -> None:
    mail = replace(ENGLISH, timezone="America/New_York", written_at=WRITTEN.replace(month=3, day=5))
    seven_days_by_the_wall_clock = FIRST.replace(month=3, day=12) - timedelta(hours=1)  # summer time began
    message = COMPOSER.compose(mail, seven_days_by_the_wall_clock).message
    assert "for 7 days" in part(email.message_from_bytes(message, policy=policy.default), "plain")


def test_a_letter_of_the_same_day_does_not_count_its_days() -> None:
    assert "on its way" not in part(read(replace(ENGLISH, written_at=FIRST)), "plain")


@pytest.mark.parametrize(
    ("mail", "subject"),
    [
        (BARE, "A letter written on 7 November 2025"),
        (replace(BARE, subject="   "), "A letter written on 7 November 2025"),
        (receipt(), "Your letter is posted"),
        (receipt(KOREAN), "편지를 잘 맡았습니다"),
        (receipt(renewed=True), "The days of your letter have changed"),
        (receipt(KOREAN, renewed=True), "편지가 도착하는 날이 바뀌었습니다"),
        (refusal(), "We could not deliver your letter"),
        (refusal(KOREAN), "편지를 전해 드리지 못했습니다"),
    ],
)
def test_a_mail_without_a_subject_of_its_own_has_an_honest_one(mail: Mail, subject: str) -> None:
    assert read(mail)["Subject"] == subject


@each_notice
def test_a_notice_repeats_nothing_that_was_written(mail: Mail) -> None:
    words: dict[str, Any] = dict.fromkeys(("body", "subject", "sender_name", "recipient_name"), "SECRET")
    message = read(replace(mail, **words))
    assert "SECRET" not in f"{message.items()}{part(message, 'plain')}{part(message, 'html')}"
    assert str(message["To"]) == mail.recipient_email


@each_letter
def test_a_letter_never_leads_to_its_writers_page(mail: Mail) -> None:
    message = read(replace(mail, page_url="https://letters.example.org/SECRET", reader="SECRET", reason="SECRET"))
    assert "SECRET" not in f"{part(message, 'plain')}{part(message, 'html')}"


def test_a_receipt_names_the_dates_and_the_page() -> None:
    text = part(read(receipt()), "plain")
    assert "First arrival: Friday, 14 November 2025, 21:40 (Seoul time)\n" in text
    assert "Second arrival: Sunday, 7 December 2025, 21:40 (Seoul time)\n" in text
    assert "To: m…@example.com\n" in text
    assert "\nhttps://letters.example.org/letters/Zt0b3VnqXw8k1mJ5rYc7dA\n" in text
    assert "Second arrival" not in part(read(receipt(second_send_at=None)), "plain")


def test_a_refusal_repeats_what_the_server_said() -> None:
    assert "The mail server replied:\n550 no such user\n" in part(read(refusal(reason="550 no\r\nsuch\tuser")), "plain")
    assert "The mail server replied" not in part(read(refusal(reason="")), "plain")


def test_a_refusal_of_what_was_not_tried_does_not_speak_of_trying() -> None:
    text = part(read(NOTICES["untried-en"]), "plain")
    assert "a mail server has said that this address does not exist" in text
    assert "stopped trying" not in text
    assert "Correct the address: https://letters.example.org/letters/Zt0b3VnqXw8k1mJ5rYc7dA/address\n" in text


# The HTML part


@each_mail
def test_the_text_says_what_the_html_says(mail: Mail) -> None:
    message = read(mail)
    text, page = part(message, "plain"), Page(part(message, "html"))
    texts = [words.strip() for words in page.words if words.strip()][1:]  # the first is the preheader
    assert len(texts) > 8
    for words in texts:
        assert words in text or (words == "letters.example.org" and "https://letters.example.org/" in text)


@each_mail
def test_the_page_is_whole_and_asks_for_nothing(mail: Mail) -> None:
    html = part(read(mail), "html")
    page = Page(html)
    tags = {tag for tag, _ in page.tags}
    assert html.startswith("<!DOCTYPE html><html lang=")
    assert ("html", mail.language) == (page.tags[0][0], page.tags[0][1]["lang"])
    assert html.index('<meta charset="utf-8">') < 1024
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags
    assert ("meta", {"name": "color-scheme", "content": "light dark"}) in page.tags
    assert tags.isdisjoint({"img", "script", "form", "svg", "link", "iframe", "object", "input", "video", "base"})
    assert not re.search(r"url\(|@import|@font-face|javascript:|\son\w+=", html)
    links = [attributes["href"] or "" for tag, attributes in page.tags if tag == "a"]
    assert links
    assert all(link.startswith("https://letters.example.org/") for link in links)
    assert "prefers-color-scheme: dark" in html


@each_mail
def test_the_page_is_small_enough_and_its_letters_large_enough(mail: Mail) -> None:
    html = part(read(mail), "html")
    assert all(float(size) >= 13 for size in re.findall(r"font-size:\s*([\d.]+)px", html) if size != "0")
    assert (
        max(int(width) for width in re.findall(r"(?<!-)width[:=]\s*\"?(\d+)", html.replace("max-width", "width")))
        <= 680
    )
    assert sum(map(len, re.findall(r"(?s)<style.*?</style>", html))) < 8192


def test_the_longest_letter_is_not_clipped() -> None:
    assert len(part(read(replace(KOREAN, body="🌨" * 20_000)), "html").encode()) < 102_400


@each_letter
def test_the_preheader_does_not_tell_the_letter(mail: Mail) -> None:
    preheader = next(words for words in Page(part(read(mail), "html")).words if words.strip())
    assert len(preheader) > 40
    assert not [secret for secret in (mail.body, mail.subject, mail.sender_name) if secret and secret in preheader]
