"""E6.7, the reference answer."""

import asyncio


async def fetch(providers, cid, ask, patience):
    """One after the other, until the bytes are what the name says."""
    for provider in providers:
        try:
            async with asyncio.timeout(delay=patience):
                data = await ask(provider, cid)
        except (LookupError, TimeoutError):
            continue
        if cid.matches(data):
            return data
    raise ValueError(f"nobody has {cid}")


answer = fetch
