"""Choosing days: what becomes of a choice, and what is said about one that cannot be."""

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.settings import Settings
from app.store.models import Letter
from app.web.arrival_choices import read_promise
from app.web.forms import FormError
from tests.web.requests import LETTER, post

SETTINGS = Settings(timezone="Asia/Seoul")
NOW = datetime(2026, 1, 1, 9, 30, tzinfo=UTC)  # half past six in the evening, in Seoul
DAY = timedelta(days=1)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


def days(values: dict[str, str], settings: Settings = SETTINGS) -> tuple[float, float | None]:
    """Return after how many days a letter arrives."""
    promise = read_promise(values, settings, written_at=NOW, now=NOW)
    return (promise.first - NOW) / DAY, (promise.second - NOW) / DAY if promise.second else None


@pytest.mark.parametrize(
    ("values", "after"),
    [
        ({}, (7, 30)),
        ({"first_arrival": "usual", "second_arrival": "usual"}, (7, 30)),
        ({"first_arrival": "", "first_date": "", "second_arrival": "", "second_date": ""}, (7, 30)),
        ({"first_arrival": "P1D"}, (1, 30)),
        ({"first_arrival": "P100D", "second_arrival": "P1Y"}, (100, 365)),
        ({"first_arrival": "2026-01-02", "second_arrival": "none"}, (1, None)),
        ({"first_arrival": "date", "first_date": "2026-01-11", "second_arrival": "usual"}, (10, 30)),
        ({"first_date": "2026-01-11"}, (10, 30)),
        ({"first_arrival": "usual", "first_date": "2026-01-11"}, (7, 30)),
        ({"second_arrival": "2036-01-01"}, (7, 3652)),
        ({"second_arrival": "none", "second_date": "2026-05-05"}, (7, None)),
    ],
)
def test_a_choice_becomes_a_promise(values: dict[str, str], after: tuple[float, float | None]) -> None:
    assert days(values) == after


@pytest.mark.parametrize(
    ("values", "name", "words"),
    [
        ({"first_arrival": "soon"}, "first_arrival", "not a valid date"),
        ({"first_arrival": "none"}, "first_arrival", "not a valid date"),
        ({"first_arrival": "date"}, "first_date", "choose the day"),
        ({"first_arrival": "date", "first_date": "01.03.2027"}, "first_date", "not a valid date"),
        ({"first_date": "2026-01-01"}, "first_date", "too early. The earliest possible day is January 2, 2026"),
        ({"first_date": "0001-01-01"}, "first_date", "too early"),
        ({"second_date": "2036-01-03"}, "second_date", "too late. The latest possible day is January 2, 2036"),
        ({"second_arrival": "P9999Y"}, "second_arrival", "not a valid date"),
        ({"first_arrival": "P100D"}, "second_arrival", "later than the first"),
        ({"first_date": "2026-02-01", "second_date": "2026-02-01"}, "second_date", "later than the first"),
    ],
)
def test_what_cannot_be_is_said_beside_its_field(values: dict[str, str], name: str, words: str) -> None:
    with pytest.raises(FormError) as caught:
        days(values)
    assert list(caught.value.faults) == [name]
    assert words in caught.value.words("en")[name]
    assert re.search("[가-힣]", caught.value.words("ko")[name])


def test_the_operator_sets_the_limits() -> None:
    strict = SETTINGS.model_copy(update={"min_days": 10, "max_days": 20})
    assert days({}, strict) == (7, 30)
    assert days({"first_arrival": "P10D", "second_arrival": "P20D"}, strict) == (10, 20)
    for wrong in ({"first_arrival": "P9D"}, {"second_arrival": "P21D"}):
        with pytest.raises(FormError):
            days(wrong, strict)


def test_the_day_counts_where_the_letter_was_written() -> None:
    """It is the second of January already in Apia, where tomorrow is the third."""
    evening = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
    values = {"timezone": "Pacific/Apia", "first_arrival": "2026-01-03"}
    assert read_promise(values, SETTINGS, written_at=evening, now=evening).first == evening + DAY
    with pytest.raises(FormError):
        read_promise({**values, "first_arrival": "2026-01-02"}, SETTINGS, written_at=evening, now=evening)


def test_a_day_that_has_passed_since_it_was_written_is_refused() -> None:
    with pytest.raises(FormError) as caught:
        read_promise({"first_arrival": "P1D"}, SETTINGS, written_at=NOW, now=NOW + DAY)
    assert "already passed" in caught.value.words("en")["first_arrival"]


anything = st.text() | st.sampled_from(["", "usual", "date", "none", "P1Y", "P100D", "2027-01-01", "9999-12-31"])


@given(
    st.fixed_dictionaries({f"{each}_{kind}": anything for each in ("first", "second") for kind in ("arrival", "date")})
)
def test_whatever_is_chosen_becomes_a_promise_or_words(values: dict[str, str]) -> None:
    first, second = 1.0, None
    words = {"": "none"}
    try:
        first, second = days(values)
    except FormError as rejected:
        words = rejected.words("ko")
    assert all(words.values())
    assert 1 <= first <= 3653
    assert second is None or second > first


@pytest.mark.anyio
@pytest.mark.parametrize("language", ["en", "ko"])
async def test_the_form_comes_back_with_the_choice(client: httpx.AsyncClient, language: str) -> None:
    typed = {"first_arrival": "date", "first_date": "2025-01-01", "second_arrival": "none", "body": "Still here"}
    answer = await client.post("/letters", data=LETTER | typed, headers={"Accept-Language": language})
    assert answer.status_code == 422
    assert set(re.findall(r'id="([\w-]+)"[^>]* checked', answer.text)) == {"first_arrival-date", "second_arrival-none"}
    field = re.search(r'<input type="date" id="first_date".*?>', answer.text, re.DOTALL)
    assert field
    assert 'value="2025-01-01"' in field[0]
    assert 'aria-invalid="true"' in field[0]
    assert 'min="2026-01-02"' in field[0]
    assert "Still here" in answer.text


@pytest.mark.anyio
async def test_a_letter_is_kept_with_the_days_of_its_choice(client: httpx.AsyncClient) -> None:
    assert (await post(client, first_arrival="P100D", second_arrival="none")).status_code == 303
    answer = await client.post("/api/letters", json=LETTER | {"first_arrival": "P1D", "second_arrival": "2027-01-01"})
    assert answer.status_code == 201
    assert answer.json()["second_send_at"] == "2027-01-01T09:30:00Z"
    kept = await Letter.all().order_by("-send_at").values_list("send_at", "second_send_at")
    assert kept == [(NOW + 100 * DAY, None), (NOW + DAY, NOW + 365 * DAY)]


@pytest.mark.anyio
async def test_json_is_told_by_field(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/letters", json=LETTER | {"first_arrival": "soon", "second_arrival": "P1D"})
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == ["first_arrival"]
