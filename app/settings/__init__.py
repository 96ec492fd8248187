"""Settings; the only reader of the environment and of `.env`."""

from app.settings.load import load_settings
from app.settings.settings import Settings
from app.settings.types import Security, SmtpServer

__all__ = ["Security", "Settings", "SmtpServer", "load_settings"]
