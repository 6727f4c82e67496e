"""One handshake between a student's code and the examiner, message by message: what E3.4 is examined with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from libp2p_lab.coursework.exam import Exam
from libp2p_lab.errors import MalformedMessage
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.multiaddr import Multiaddr
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.security.noise import SIGNATURE_PREFIX, HandshakePayload
from libp2p_lab.security.noise_xx import NoiseHandshake
from libp2p_lab.trace import Probe
from libp2p_lab.transports.memory import MemoryStream
from libp2p_lab.wire.byte_stream import read_exactly

PATIENCE = 5.0  # seconds for a step that takes a right answer milliseconds
MUXERS = ("/yamux/1.0.0", "/mplex/6.7.0")

Make = Callable[..., Any]


def _x25519(exam: Exam) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(exam.rng.randbytes(32))


class Meeting:
    """The student's side of one handshake at one end of a wire, the examiner at the other.

    Args:
        is_dialer: which part the student plays.
        expected: whom the student's side is told to expect; None for anybody, "right" for the examiner.
        muxers: those of the student's side.
    """

    def __init__(
        self,
        exam: Exam,
        make: Make,
        *,
        is_dialer: bool,
        expected: PeerId | None = None,
        muxers: tuple[str, ...] = MUXERS,
    ) -> None:
        self.exam = exam
        self.is_dialer = is_dialer
        self.muxers = muxers
        self.static, self.ephemeral = _x25519(exam), _x25519(exam)
        self.key, self.their_key = (KeyPair.generate(rng=exam.rng) for _ in range(2))
        self.peer, self.their_peer = (
            PeerId.from_public_key(key.public) for key in (self.key, self.their_key)
        )
        self.expected = expected if expected is not None or not is_dialer else self.their_peer
        theirs = _x25519(exam)
        self.remote_static, fresh = theirs.public_key().public_bytes_raw(), _x25519(exam)
        self.remote_ephemeral = fresh.public_key().public_bytes_raw()
        self.ours = NoiseHandshake(is_initiator=not is_dialer, static=theirs, ephemeral=fresh)
        raw, self.wire = MemoryStream.pair(Multiaddr("/memory/1"), Multiaddr("/memory/2"))
        part = make(static=self.static, ephemeral=lambda: self.ephemeral)
        self.task = asyncio.ensure_future(
            exam.watched(part.secure)(
                raw,
                key=self.key,
                is_dialer=is_dialer,
                expected_peer=self.expected,
                muxers=muxers,
                probe=Probe(layer="security"),
            )
        )

    async def hear(self) -> bytes:
        """The student's next message. What their code raises instead is raised here."""
        reading = asyncio.ensure_future(self.frame())
        number = self.ours.index
        async with self.exam.step(PATIENCE, "silent", f"message {number} did not come"):
            await asyncio.wait((reading, self.task), return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            reading.cancel()
            await self.task  # it raised, or was done too early
            self.exam.reject("silent", f"`secure` ended before message {number}")
        return reading.result()

    async def frame(self) -> bytes:
        """The next message on the wire, whoever says it."""
        number = self.ours.index
        head = await read_exactly(self.wire, 2)
        length = int.from_bytes(head, "big")
        try:
            async with asyncio.timeout(PATIENCE / 2):
                return await read_exactly(self.wire, length)
        except (TimeoutError, MalformedMessage):
            self.exam.reject(
                "framing",
                f"message {number} begins with {head.hex(' ')}, so {length} bytes were to follow",
                got="fewer bytes",
            )

    async def say(self, payload: bytes) -> None:
        """The examiner's next message."""
        encoded = self.ours.write_message(payload).encode()
        await self.wire.write(len(encoded).to_bytes(2, "big") + encoded)

    def payload(self, signer: KeyPair | None = None, muxers: tuple[str, ...] = MUXERS) -> bytes:
        """What the examiner says of itself; a `signer` of its own makes a lie of it."""
        signature = (signer or self.their_key).sign(SIGNATURE_PREFIX + self.remote_static)
        return HandshakePayload(self.their_key.public.to_protobuf(), signature, muxers).encode()

    async def stream(self) -> Any:
        """What the student's `secure` gives."""
        async with self.exam.step(PATIENCE, "silent", "`secure` does not end"):
            return await self.task

    async def close(self) -> None:
        """Nothing is left running."""
        await self.wire.reset()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def __aenter__(self) -> Meeting:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()
