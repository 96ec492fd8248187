"""Writing anew what a letter holds, all of it together: what it held before no longer opens."""

from collections.abc import Mapping
from typing import Any

from tortoise.queryset import QuerySet

from app.store.models import Letter
from app.store.vault import Vault


async def revise(vault: Vault, letters: QuerySet[Letter], fresh: Mapping[str, str], **others: Any) -> int:
    """Write `fresh` values into the letter that `letters` finds, and `others`, which are not sealed; 0: none is found.

    Within a transaction that holds the letter's deliveries: what somebody else changes at this
    moment would be written back as it was. Raises KeyMissing where the letter does not open.
    """
    found = await letters.values()
    if not found:
        return 0
    return await letters.update(**vault.revise_letter(found[0], fresh), **others)
