"""The one Jinja environment, and the translations: English in the sources, Korean in a catalogue."""

import io
from datetime import datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime, get_timezone_location
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

LANGUAGES = ("en", "ko")
_ROOT = Path(__file__).parent
_DAYS = {"en": "EEEE, d MMMM y", "ko": "y년 M월 d일 EEEE"}
_DATES = {"en": "EEEE, d MMMM y, HH:mm", "ko": "y년 M월 d일 EEEE HH:mm"}


@cache
def translations(language: str) -> NullTranslations:
    """Return a language's catalogues as one, compiled in memory: no build step, nothing stale."""
    catalogues = [_compiled(path) for path in sorted((_ROOT / "locale" / language / "LC_MESSAGES").glob("*.po"))]
    for other in catalogues[1:]:
        catalogues[0].merge(other)  # as a fallback it would be asked again for every word of a page
    return catalogues[0] if catalogues else NullTranslations()


def _compiled(path: Path) -> Translations:
    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=path.parents[1].name))
    compiled.seek(0)
    return Translations(compiled)


@cache
def environment(language: str) -> Environment:
    """Return the templates of a language. Everything but `.txt` is escaped."""
    made = Environment(
        loader=FileSystemLoader(_ROOT.parent / "templates"),
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


def render(template: str, language: str, **values: Any) -> str:
    """Fill a template of `templates/` in one of LANGUAGES."""
    return environment(language).get_template(template).render(**values)


def long_date(moment: datetime, zone: str, language: str) -> str:
    """Return a moment with its weekday as somebody in `zone` says it."""
    return format_datetime(moment, _DATES[language], tzinfo=ZoneInfo(zone), locale=language)


def long_day(moment: datetime, zone: tzinfo, language: str) -> str:
    """Return a day with its weekday as somebody in `zone` says it."""
    return format_date(moment.astimezone(zone), _DAYS[language], locale=language)


@cache
def place_of(zone: str, language: str) -> str:
    """Return a time zone as people of that language say it: `Seoul`, `서울`."""
    return str(get_timezone_location(zone, locale=language, return_city=True))
