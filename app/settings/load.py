import os
from difflib import get_close_matches

from dotenv import dotenv_values
from pydantic import ValidationError

from app.errors import SettingsError
from app.settings.settings import ENV_FILE, PREFIX, Settings


def load_settings() -> Settings:
    """Read the environment and `.env`.

    Raises SettingsError with one line that names the first wrong setting.
    """
    try:
        _refuse_unknown({*os.environ, *dotenv_values(ENV_FILE)})
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{ENV_FILE}: it cannot be read: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        message = str(first["msg"]).removeprefix("Value error, ")
        name = "".join(f"{PREFIX}{str(part).upper()}: " for part in first["loc"][:1])
        raise SettingsError(f"{name}{message}") from None


def _refuse_unknown(names: set[str]) -> None:
    """Ignoring a mistyped setting would be worse than refusing it."""
    known = {name.upper() for name in Settings.model_fields}
    given = {name.upper().removeprefix(PREFIX) for name in names if name.upper().startswith(PREFIX)}
    for name in sorted(given - known):
        if not name.startswith("TEST_"):  # what our own tests are told
            nearest = get_close_matches(name, known, 1)
            mend = f"; is it {PREFIX}{nearest[0]}?" if nearest else ""
            raise SettingsError(f"{PREFIX}{name}: there is no such setting{mend}")
