"""What is taken in a day, on both databases and by several at once: shared fairly, exact, telling nothing of others.

One client here has 50 letters to an address; of 40 letters to a domain 20 are free for all, and of
the other 20 each client has one.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from app.crypto import token_hash
from app.domain.letter import Draft
from app.domain.schedule import Delay
from app.domain.status import HeldReason, Occasion, Status
from app.errors import Limit, LimitExceeded
from app.store.address_change import Corrections
from app.store.audit import audit
from app.store.cipher import LetterCipher
from app.store.confirmation import Confirmations, confirm
from app.store.database import connection
from app.store.export import export
from app.store.letters import Letters
from app.store.models import Delivery, Letter, QuotaCount
from app.store.operator_actions import release
from app.store.posting import lowest_row_id, new_row_id
from app.store.quotas import Quotas, drop_quota_counts
from app.store.retention import cancel_expired_holds
from tests.clock import NEW_YEAR as NOW

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
WRITER = "jun@example.net"
DRAFT = Draft(recipient_email="minji@example.org", body="Dear you")
SCHOOL = ("192.0.2.1",)
FEW = Quotas(per_domain=40, per_day=80)


def _letters(cipher: LetterCipher, quotas: Quotas, *, confirms: bool = False) -> Letters:
    return Letters(
        cipher,
        first_delay=Delay(days=7),
        second_delay=Delay(days=30),
        message_domain="slow.test",
        edit_window=HOUR,
        quotas=quotas,
        confirmations=Confirmations(cipher, "slow.test", quotas) if confirms else None,
    )


def _client(number: int) -> Sequence[str]:
    return (f"198.51.{number // 250}.{number % 250}",)


def _to(number: int, domain: str = "example.org") -> Draft:
    return replace(DRAFT, recipient_email=f"reader{number}@{domain}")


async def _post(letters: Letters, draft: Draft, clients: Sequence[str] = (), now: object = NOW) -> Limit | None:
    """Post and return which limit was met, if one was; nothing else may go wrong."""
    try:
        await letters.post(draft, now, None, clients)  # type: ignore[arg-type]
    except LimitExceeded as error:
        return error.limit
    return None


async def _at_once(letters: Letters, posts: Sequence[tuple[Draft, Sequence[str]]]) -> Counter[Limit | None]:
    """Post all at once, by clocks that differ by some minutes."""
    posting = (_post(letters, draft, clients, NOW + n % 5 * MINUTE) for n, (draft, clients) in enumerate(posts))
    return Counter(await asyncio.gather(*posting))


async def test_mail_bombing_one_address_delivers_what_its_quota_says(cipher: LetterCipher) -> None:
    """Two hundred letters at once from as many clients, under every spelling of the one address."""
    spellings = ["minji@example.org", "MinJi@Example.org", "minji+{}@example.org", "MINJI+sea.{}@example.org"]
    posts = [(replace(DRAFT, recipient_email=spellings[n % 4].format(n)), _client(n)) for n in range(200)]
    assert await _at_once(_letters(cipher, Quotas()), posts) == {None: 200}
    promised = Counter([(each.status, each.held_reason) for each in await Delivery.filter(notice=False)])
    assert promised == {(Status.SCHEDULED, None): 2 * 50, (Status.HELD, HeldReason.QUOTA): 2 * 150}
    assert (await audit()).adds_up


async def test_one_client_takes_the_free_half_of_a_domain_and_a_twentieth_of_the_other(cipher: LetterCipher) -> None:
    """At once, and another client gets its share all the same; the day's quota is shared out likewise."""
    letters = _letters(cipher, FEW)
    assert await _at_once(letters, [(_to(n), SCHOOL) for n in range(60)]) == {None: 21, Limit.DOMAIN_SHARE: 39}
    assert await _post(letters, _to(0), _client(1)) is None
    assert await _post(letters, _to(0), _client(1)) is Limit.DOMAIN_SHARE
    elsewhere = [(_to(n, f"{n}.org"), SCHOOL) for n in range(60)]
    assert await _at_once(letters, elsewhere) == {None: 40 - 22 + 2, Limit.DAY_SHARE: 40}
    assert await _post(letters, _to(0, "a.org"), _client(2)) is None


async def test_the_domain_and_the_day_are_exact_under_a_race(cipher: LetterCipher) -> None:
    letters = _letters(cipher, FEW)
    assert await _at_once(letters, [(_to(n), _client(n)) for n in range(80)]) == {None: 40, Limit.DOMAIN_ALL: 40}
    others = [(_to(n, f"{n}.org"), _client(100 + n)) for n in range(80)]
    assert await _at_once(letters, others) == {None: 40, Limit.DAY_ALL: 40}
    assert await Letter.all().count() == 80


async def test_an_ipv6_site_has_four_times_the_share_of_one_network_in_it(cipher: LetterCipher) -> None:
    letters = _letters(cipher, FEW)
    posts = [(_to(n), (f"2001:db8:0:{n:x}::/64", "2001:db8::/56", "2001:db8::/48")) for n in range(84)]
    assert await _at_once(letters, posts) == {None: 20 + 4, Limit.DOMAIN_SHARE: 60}
    site = [(_to(n), (f"2001:db8:0:{n:x}00::/64", f"2001:db8:0:{n:x}00::/56", "2001:db8::/48")) for n in range(1, 40)]
    assert await _at_once(letters, site) == {None: 12, Limit.DOMAIN_SHARE: 27}


async def test_a_school_of_300_behind_one_address_gets_through(cipher: LetterCipher) -> None:
    letters = _letters(cipher, Quotas())
    assert await _at_once(letters, [(_to(n), SCHOOL) for n in range(300)]) == {None: 300}
    assert not await Delivery.filter(status=Status.HELD).exists()


async def test_a_class_that_gives_its_teachers_address_is_told_which_limit_that_is(cipher: LetterCipher) -> None:
    letters = _letters(cipher, Quotas())
    pupils = [replace(_to(n), sender_email="teacher@example.net") for n in range(60)]
    assert [await _post(letters, each, SCHOOL) for each in pupils] == [None] * 50 + [Limit.WRITER] * 10
    assert [await _post(letters, replace(each, sender_email=""), SCHOOL) for each in pupils[50:]] == [None] * 10
    to_one = [replace(DRAFT, recipient_email="head@example.net")] * 51
    assert [await _post(letters, each, SCHOOL) for each in to_one] == [None] * 50 + [Limit.READER]


async def test_a_spy_sees_the_same_whatever_others_wrote(cipher: LetterCipher) -> None:
    """From three addresses, to two readers of whom one got 37 letters from others; until the letters are due."""
    letters, spies = _letters(cipher, Quotas()), [_client(n) for n in range(3)]
    known, unknown = "known@example.org", "unknown@example.org"
    for n in range(37):
        await letters.post(replace(DRAFT, recipient_email=known), NOW, None, _client(10 + n))
    seen: dict[str, list[object]] = {known: [], unknown: []}
    tokens: dict[str, str] = {}
    for reader, answers in seen.items():
        for n in range(120):
            try:
                posted = await letters.post(replace(DRAFT, recipient_email=reader), NOW, None, spies[n % 2])
            except LimitExceeded as error:
                answers.append((error.limit, error.seconds, error.most))
                continue
            tokens[reader] = posted.token
            stored = await letters.find(posted.token, NOW + 7 * DAY - SECOND)
            kept = (await export(cipher, posted.token, NOW))["deliveries"]
            answers.append((posted.status, posted.notice, stored.status, stored.deliveries))
            answers.append([(each["status"], each["held_reason"]) for each in kept])
    assert seen[known] == seen[unknown]
    assert (Limit.READER, 86400, 50) in seen[known]
    later = {reader: (await letters.find(token, NOW + 7 * DAY)).deliveries[0] for reader, token in tokens.items()}
    assert {each.held_reason for each in later.values()} == {HeldReason.QUOTA}


async def test_a_letter_held_for_a_quota_is_released_by_an_operator_or_cancelled(cipher: LetterCipher) -> None:
    letters = _letters(cipher, Quotas(per_address=1))
    for n in range(3):
        await letters.post(DRAFT, NOW, None, _client(n))
    held = await Delivery.filter(held_reason=HeldReason.QUOTA).order_by("id")
    assert len(held) == 4
    assert await release([each.id for each in held[:2]], NOW) == [each.id for each in held[:2]]
    assert [number async for number in cancel_expired_holds(NOW + 36 * DAY, timedelta(days=30))] == []
    assert [number async for number in cancel_expired_holds(NOW + 61 * DAY, timedelta(days=30))] == [2]


async def test_a_letter_over_quota_needs_confirmation_too_and_is_held_then(
    cipher: LetterCipher,
) -> None:
    quotas = Quotas(per_address=1)
    letters = _letters(cipher, quotas, confirms=True)
    drafts = [replace(DRAFT, sender_email=f"{n}@example.net") for n in range(2)]
    tokens = [(await letters.post(each, NOW, None, _client(n))).token for n, each in enumerate(drafts)]
    first, second = [(await letters.find(token, NOW)).deliveries for token in tokens]
    assert first == second
    for question in await Delivery.filter(occasion=Occasion.CONFIRMATION):
        await confirm(cipher.confirmation_token(question.message_id), NOW)
    assert await Delivery.filter(held_reason=HeldReason.QUOTA).count() == 2
    assert await Delivery.filter(notice=False, status=Status.SCHEDULED).count() == 2
    assert (await letters.find(tokens[1], NOW)).deliveries[0].status is Status.SCHEDULED


async def test_a_corrected_letter_counts_and_is_held_beyond_the_new_addresss_quota(cipher: LetterCipher) -> None:
    quotas = Quotas(per_address=2)
    letters = _letters(cipher, quotas)
    corrections = Corrections(cipher, quotas, Confirmations(cipher, "slow.test"), confirmed=False)
    tokens = [(await letters.post(_to(n), NOW, None, _client(n))).token for n in range(3)]
    for n, token in enumerate(tokens):
        await corrections.correct_by_token(token, DRAFT.recipient_email, None, NOW, _client(n))
    held = {each.letter_id for each in await Delivery.filter(held_reason=HeldReason.QUOTA)}
    assert held == {(await Letter.get(token_hash=token_hash(tokens[2]))).id}
    own = [(await letters.post(_to(9 + n), NOW, None, SCHOOL)).token for n in range(3)]
    for token in own[:2]:
        await corrections.correct_by_token(token, DRAFT.recipient_email, None, NOW, SCHOOL)
    with pytest.raises(LimitExceeded) as refused:
        await corrections.correct_by_token(own[2], DRAFT.recipient_email, None, NOW, SCHOOL)
    assert refused.value.limit is Limit.READER
    assert (await letters.find(own[2], NOW)).draft.recipient_email == "reader11@example.org"


async def test_letters_are_accepted_again_exactly_after_the_announced_wait(cipher: LetterCipher) -> None:
    letters = _letters(cipher, Quotas(per_address=3))
    for hours in (0, 5, 7):
        await letters.post(DRAFT, NOW + hours * HOUR, None, SCHOOL)
    later = NOW + 9 * HOUR + 10 * SECOND
    with pytest.raises(LimitExceeded) as refused:
        await letters.post(DRAFT, later, None, SCHOOL)
    assert refused.value.seconds == 15 * 3600 - 10
    room = later + refused.value.seconds * SECOND
    assert await _post(letters, DRAFT, SCHOOL, room - MINUTE) is Limit.READER
    assert await _post(letters, DRAFT, SCHOOL, room) is None
    assert await _post(letters, DRAFT, SCHOOL, room) is Limit.READER


async def test_a_refused_letter_stores_nothing(cipher: LetterCipher) -> None:
    letters = _letters(cipher, Quotas(per_address=1))
    await letters.post(DRAFT, NOW, None, SCHOOL)
    before = await QuotaCount.all().order_by("id").values()
    assert await _post(letters, DRAFT, SCHOOL) is Limit.READER
    assert await QuotaCount.all().order_by("id").values() == before
    assert await Letter.all().count() == 1


async def test_no_clients_address_is_kept_and_no_count_for_longer_than_a_day(cipher: LetterCipher) -> None:
    letters = _letters(cipher, Quotas(per_domain=2))
    for n in range(2):
        await letters.post(_to(n), NOW, None, SCHOOL)
    scopes = [count.scope for count in await QuotaCount.all()]
    assert any(cipher.client_hmac(SCHOOL[0]) in scope for scope in scopes)
    assert not any(SCHOOL[0] in scope for scope in scopes)
    assert await drop_quota_counts(NOW + DAY - SECOND) == 1  # the row that letters wait for
    assert await drop_quota_counts(NOW + DAY) == len(scopes) - 1


async def test_the_ids_are_in_the_order_of_writing() -> None:
    ids = [new_row_id(NOW + n * SECOND) for n in range(50)]
    assert ids == sorted(ids)
    assert all(lowest_row_id(NOW + n * SECOND) <= each for n, each in enumerate(ids))
    assert all(lowest_row_id(NOW + (n + 1) * SECOND) > each for n, each in enumerate(ids))


async def test_counting_costs_the_same_on_a_full_day(cipher: LetterCipher) -> None:
    """A count for every minute of the day, and for 20,000 addresses beside it."""
    letters = _letters(cipher, Quotas(per_day=1_000_000))
    first = int(NOW.timestamp() // 60)
    minutes = [QuotaCount(scope="all", minute=first - n, number=5) for n in range(1440)]
    others = [QuotaCount(scope=f"reader {n}", minute=first, number=1) for n in range(20_000)]
    await QuotaCount.bulk_create(minutes + others, batch_size=500)
    await connection().execute_query("ANALYZE")
    seconds = []
    for n in range(20):
        began = time.perf_counter()
        await letters.post(_to(n), NOW + n * SECOND, None, _client(n))
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.1
