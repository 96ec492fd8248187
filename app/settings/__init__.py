"""All settings; the only reader of the environment and of `.env`."""

from app.settings.choices import Settings
from app.settings.kinds import Security, SmtpServer
from app.settings.loading import load_settings

__all__ = ["Security", "Settings", "SmtpServer", "load_settings"]
