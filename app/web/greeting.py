"""What is said once, at the first start: how to get into the admin page."""

from app.errors import AccountError, SettingsError
from app.store.accounts import ensure_first_account
from app.wiring import Mailbox


async def greet(mailbox: Mailbox) -> bool:
    """Make the first account where there is none, and say once how to get in; False: there is one."""
    settings = mailbox.settings
    try:
        made = await ensure_first_account(settings.admin_username, settings.admin_password, mailbox.clock.now())
    except AccountError as error:
        raise SettingsError(f"MAILBOX_ADMIN_USERNAME or MAILBOX_ADMIN_PASSWORD: {error}") from None
    if made:
        print(  # noqa: T201 - a password belongs on the terminal and not in a log
            f"The admin page is {settings.origin}/admin, user name {settings.admin_username}, password {made}\n"
            f"This password is shown only now; for another: slow-mailbox admin reset {settings.admin_username}",
            flush=True,
        )
    return made is not None
