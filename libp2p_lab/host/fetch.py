"""Fetch, `/libp2p/fetch/0.0.1`: one key, one value. A request, a response, and the stream is over.

Spec: fetch/README.md#protocol
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from libp2p_lab.errors import MalformedMessage, RemoteError
from libp2p_lab.multiplexing.muxed_stream import MuxedStream

if TYPE_CHECKING:
    from libp2p_lab.host.host import Host, PeerRef

PROTOCOL_ID = "/libp2p/fetch/0.0.1"

#: Gives the value of a key, or None if there is none.
LookUp = Callable[[bytes], Awaitable[bytes | None]]


class Status(IntEnum):
    """How a request went."""

    OK = 0
    NOT_FOUND = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """What is wanted.

    Attributes:
        identifier: the key.
    """

    identifier: bytes

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        from libp2p_lab.host.pb import fetch_pb2

        return fetch_pb2.FetchRequest(identifier=self.identifier).SerializeToString()

    @classmethod
    def decode(cls, data: bytes) -> FetchRequest:
        """Read the protobuf; `MalformedMessage` if it does not parse."""
        from google.protobuf.message import DecodeError

        from libp2p_lab.host.pb import fetch_pb2

        message = fetch_pb2.FetchRequest()
        try:
            message.ParseFromString(data)
        except DecodeError as error:
            raise MalformedMessage(f"fetch request does not parse: {error}") from None
        return cls(message.identifier)


@dataclass(frozen=True, slots=True)
class FetchResponse:
    """What comes back.

    Attributes:
        status: how it went.
        data: the value if it went well.
    """

    status: Status
    data: bytes = b""

    def encode(self) -> bytes:
        """The protobuf's bytes."""
        from libp2p_lab.host.pb import fetch_pb2

        message = fetch_pb2.FetchResponse(
            status=fetch_pb2.FetchResponse.StatusCode.Name(self.status), data=self.data
        )
        return message.SerializeToString()

    @classmethod
    def decode(cls, data: bytes) -> FetchResponse:
        """Read the protobuf; `MalformedMessage` if it does not parse or the status is unknown."""
        from google.protobuf.message import DecodeError

        from libp2p_lab.host.pb import fetch_pb2

        message = fetch_pb2.FetchResponse()
        try:
            message.ParseFromString(data)
            return cls(Status(message.status), message.data)
        except (DecodeError, ValueError) as error:
            raise MalformedMessage(f"fetch response does not parse: {error}") from None


class Fetch:
    """Answers requests from a look-up, and makes them.

    Args:
        look_up: gives the value of a key; None answers NOT_FOUND to everything.
    """

    def __init__(self, look_up: LookUp | None = None) -> None:
        self._look_up = look_up
        self._host: Host

    def attach(self, host: Host) -> None:
        """As `Service.attach`."""
        self._host = host
        host.set_handler(PROTOCOL_ID, self._answer)

    async def close(self) -> None:
        """As `Service.close`."""

    async def _answer(self, stream: MuxedStream) -> None:
        limits = self._host.limits
        async with asyncio.timeout(limits.fetch_timeout):
            request = FetchRequest.decode(await stream.read_message(limits.fetch_message))
            probe = stream.probe.on("fetch")
            if probe.trace.listeners:
                probe.emit("received", request)
            value = await self._look_up(request.identifier) if self._look_up is not None else None
            if value is None:
                response = FetchResponse(Status.NOT_FOUND)
            else:
                response = FetchResponse(Status.OK, value)
            if probe.trace.listeners:
                probe.emit("sent", response)
            await stream.write_message(response.encode())

    async def get(self, peer: PeerRef, key: bytes) -> bytes | None:
        """The value that `peer` has for `key`; None if it has none.

        Raises: `RemoteError` if the peer reports an error or its answer does not parse; `TimeoutError`.
        """
        limits = self._host.limits
        stream = await self._host.open_stream(peer, PROTOCOL_ID)
        probe = stream.probe.on("fetch")
        request = FetchRequest(key)
        try:
            async with asyncio.timeout(limits.fetch_timeout):
                if probe.trace.listeners:
                    probe.emit("sent", request)
                await stream.write_message(request.encode())
                await stream.close_write()
                response = FetchResponse.decode(await stream.read_message(limits.fetch_message))
                if probe.trace.listeners:
                    probe.emit("received", response)
        finally:
            await stream.close()
        match response.status:
            case Status.OK:
                return response.data
            case Status.NOT_FOUND:
                return None
            case Status.ERROR:
                raise RemoteError("the peer failed to look the key up")
