"""The one Jinja environment, and the translations: English in the sources, Korean in a catalogue."""

import io
from datetime import datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, get_timezone_location
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined, nodes, select_autoescape
from jinja2.visitor import NodeTransformer

from app.domain.refusal import Reason
from app.installation import PACKAGE, folder

LANGUAGES = ("en", "ko")
_DAYS = {"en": "EEEE, d MMMM y", "ko": "y년 M월 d일 EEEE"}
_DATES = {"en": "EEEE, d MMMM y, HH:mm", "ko": "y년 M월 d일 EEEE HH:mm"}


@cache
def translations(language: str) -> NullTranslations:
    """Return a language's catalogues as one, compiled in memory: no build step, nothing stale."""
    catalogues = [_compiled(path) for path in sorted((PACKAGE / "locale" / language / "LC_MESSAGES").glob("*.po"))]
    for other in catalogues[1:]:
        catalogues[0].merge(other)  # as a fallback it would be asked again for every word of a page
    return catalogues[0] if catalogues else NullTranslations()


def _compiled(path: Path) -> Translations:
    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=path.parents[1].name))
    compiled.seek(0)
    return Translations(compiled)


class _Said(NodeTransformer):
    """Puts what needs no variable into the words of a language: a page asks for hundreds of them."""

    def __init__(self, language: str) -> None:
        self._gettext = translations(language).gettext

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802 - jinja2 looks for it by this name
        self.generic_visit(node)
        match node:
            case nodes.Call(node=nodes.Name(name="_"), args=[nodes.Const(value=str(text))], kwargs=[]):
                return nodes.MarkSafeIfAutoescape(nodes.Const(self._gettext(text) % {}), lineno=node.lineno)
        return node


class _OneLanguage(Environment):
    """Templates whose words are put in when they are compiled."""

    def __init__(self, language: str, **options: Any) -> None:
        super().__init__(**options)
        self._said = _Said(language)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        template: nodes.Template = self._said.visit(super()._parse(source, name, filename))
        return template


@cache
def environment(language: str) -> Environment:
    """Return the templates of a language. Everything but `.txt` is escaped."""
    made = _OneLanguage(
        language,
        loader=FileSystemLoader(folder("templates")),
        autoescape=select_autoescape(disabled_extensions=("txt",), default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]
    made.globals["language"] = language
    made.filters["date"] = lambda moment, zone: long_date(moment, zone, language)
    return made


def refused_because(reason: Reason, language: str) -> str:
    """Return in plain words what was judged of a refusal, for pages and mails alike."""
    _ = translations(language).gettext
    said: dict[Reason, str] = {
        Reason.NO_SUCH_ADDRESS: _("The mail server says that there is no such address."),
        Reason.MAILBOX_CLOSED: _("The mail server says that this mailbox is closed."),
        Reason.MAILBOX_FULL: _("The mail server does not take it yet: it says that the mailbox is full."),
        Reason.TOO_LARGE: _("The mail server says that the letter is too long for it."),
        Reason.POLICY: _("The mail server says that its rules keep it from taking our mail."),
        Reason.MESSAGE: _("The mail server did not want it."),
        Reason.OURS: _("The mail server does not take our mail yet. That is for us to mend; your letter waits."),
        Reason.DEFERRED: _("The mail server does not take it yet."),
        Reason.TOO_LONG: _("The mail server did not take it for days, and we have stopped trying."),
    }
    return said[reason]


def render(template: str, language: str, **values: Any) -> str:
    """Fill a template of `templates/` in one of LANGUAGES."""
    return environment(language).get_template(template).render(**values)


@cache
def locale(language: str) -> Locale:
    """Return what Babel knows of a language: parsing its name costs more than writing a date."""
    return Locale.parse(language)


def long_date(moment: datetime, zone: str, language: str) -> str:
    """Return a moment with its weekday as somebody in `zone` says it."""
    return format_datetime(moment, _DATES[language], tzinfo=ZoneInfo(zone), locale=locale(language))


def long_day(moment: datetime, zone: tzinfo, language: str) -> str:
    """Return a day with its weekday as somebody in `zone` says it."""
    return format_date(moment.astimezone(zone), _DAYS[language], locale=locale(language))


@cache
def place_of(zone: str, language: str) -> str:
    """Return a time zone as people of that language say it: `Seoul`, `서울`."""
    return str(get_timezone_location(zone, locale=locale(language), return_city=True))
