"""Jinja environments and translations: English in the sources, Korean in catalogues."""

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
    """Return a language's catalogues as one, compiled in memory, without a build step."""
    catalogues = [_compiled(path) for path in sorted((PACKAGE / "locale" / language / "LC_MESSAGES").glob("*.po"))]
    for other in catalogues[1:]:
        catalogues[0].merge(other)  # a fallback would be searched again for every word of a page
    return catalogues[0] if catalogues else NullTranslations()


def _compiled(path: Path) -> Translations:
    buffer = io.BytesIO()
    with path.open("rb") as file:
        write_mo(buffer, read_po(file, locale=path.parents[1].name))
    buffer.seek(0)
    return Translations(buffer)


class _Translator(NodeTransformer):
    """Translates texts without variables when a template is compiled: a page has hundreds of them."""

    def __init__(self, language: str) -> None:
        self._gettext = translations(language).gettext

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802 - jinja2 looks for it by this name
        self.generic_visit(node)
        match node:
            case nodes.Call(node=nodes.Name(name="_"), args=[nodes.Const(value=str(text))], kwargs=[]):
                return nodes.MarkSafeIfAutoescape(nodes.Const(self._gettext(text) % {}), lineno=node.lineno)
        return node


class _LanguageEnvironment(Environment):
    def __init__(self, language: str, **options: Any) -> None:
        super().__init__(**options)
        self._translator = _Translator(language)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        template: nodes.Template = self._translator.visit(super()._parse(source, name, filename))
        return template


@cache
def environment(language: str) -> Environment:
    """Return the environment of a language. Everything but `.txt` is escaped."""
    env = _LanguageEnvironment(
        language,
        loader=FileSystemLoader(folder("templates")),
        autoescape=select_autoescape(disabled_extensions=("txt",), default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    env.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]
    env.globals["language"] = language
    env.filters["date"] = lambda moment, zone: long_date(moment, zone, language)
    return env


def refusal_text(reason: Reason, language: str) -> str:
    _ = translations(language).gettext
    texts: dict[Reason, str] = {
        Reason.NO_SUCH_ADDRESS: _("The mail server says that there is no such address."),
        Reason.MAILBOX_CLOSED: _("The mail server says that this mailbox is closed."),
        Reason.MAILBOX_FULL: _("The mail server does not accept it yet: it says that the mailbox is full."),
        Reason.TOO_LARGE: _("The mail server says that the letter is too long for it."),
        Reason.POLICY: _("The mail server says that its rules do not allow our mail."),
        Reason.MESSAGE: _("The mail server rejected it."),
        Reason.OURS: _(
            "The mail server does not accept our mail at the moment. We have to fix that; your letter waits."
        ),
        Reason.DEFERRED: _("The mail server does not accept it yet."),
        Reason.TOO_LONG: _("The mail server did not accept it for days, and we have stopped trying."),
    }
    return texts[reason]


def render(template: str, language: str, **values: Any) -> str:
    return environment(language).get_template(template).render(**values)


@cache
def locale(language: str) -> Locale:
    """Cached: parsing the name costs more than formatting a date."""
    return Locale.parse(language)


def long_date(moment: datetime, zone: str, language: str) -> str:
    return format_datetime(moment, _DATES[language], tzinfo=ZoneInfo(zone), locale=locale(language))


def long_day(moment: datetime, zone: tzinfo, language: str) -> str:
    return format_date(moment.astimezone(zone), _DAYS[language], locale=locale(language))


@cache
def place_name(zone: str, language: str) -> str:
    return str(get_timezone_location(zone, locale=locale(language), return_city=True))
