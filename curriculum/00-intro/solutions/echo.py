"""E0.4, the reference answer."""


async def echo(stream):
    """Send back every byte, at once and unchanged, until the other side has said everything."""
    async for chunk in stream:
        await stream.write(chunk)


answer = echo
