"""E6.7: another right answer, and wrong ones."""

import asyncio
import hashlib

from tests.mutants import Mutant


async def all_at_once(providers, cid, ask, patience):
    """Asks everybody at the same time, and hashes by hand."""

    async def one(provider):
        return await asyncio.wait_for(ask(provider, cid), patience)

    answers = await asyncio.gather(*map(one, providers), return_exceptions=True)
    for data in answers:
        if isinstance(data, bytes) and hashlib.sha256(data).digest() == cid.multihash[2:]:
            return data
    raise ValueError("nobody has it")


async def believes(providers, cid, ask, patience):
    for provider in providers:
        try:
            return await asyncio.wait_for(ask(provider, cid), patience)
        except (LookupError, TimeoutError):
            continue
    raise ValueError("nobody has it")


async def gives_up(providers, cid, ask, patience):
    data = await asyncio.wait_for(ask(providers[0], cid), patience) if providers else b""
    if not cid.matches(data):
        raise ValueError("a lie")
    return data


async def waits(providers, cid, ask, patience):
    for provider in providers:
        try:
            data = await ask(provider, cid)
        except LookupError:
            continue
        if cid.matches(data):
            return data
    raise ValueError("nobody has it")


async def believes_the_last(providers, cid, ask, patience):
    data = b""
    for provider in providers:
        try:
            data = await asyncio.wait_for(ask(provider, cid), patience)
        except (LookupError, TimeoutError):
            continue
        if cid.matches(data):
            break
    return data


async def as_text(providers, cid, ask, patience):
    return bytes(reversed(await all_at_once(providers, cid, ask, patience)))


def plain(providers, cid, ask, patience):
    return b""


ANOTHER = all_at_once
MUTANTS = [
    Mutant(believes, "believed"),
    Mutant(gives_up, "gave-up"),
    Mutant(waits, "hangs"),
    Mutant(believes_the_last, "believed"),
    Mutant(as_text, "bytes"),
    Mutant(plain, "not-async"),
    Mutant(12, "wrong-type"),
]
