"""Tiers as files: TIER_FILES/fast holds what the tier `fast` stands for.

Anyone who may write the folder moves a tier for the calls that come, without touching
the server: `echo openai/gpt-5-mini,local/smollm2 > "$TIER_FILES/fast"`.
"""

import asyncio
import os
from pathlib import Path


async def resolve(tier: str) -> str | None:
    """The chain in the tier's file; None without one, for the next resolver to try.

    Majordomo has checked the name: it holds no slash and does not begin with a dot.
    """
    path = Path(os.environ["TIER_FILES"], tier)
    return await asyncio.to_thread(
        _read, path
    )  # the event loop must not wait for disks


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return None
