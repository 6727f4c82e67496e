"""NAT-PMP and PCP to one router, over UDP: a `Mapper`.

PCP comes first. Who speaks NAT-PMP alone says so, or says nothing; then that is asked. Each question has a socket of
its own, connected, so that the system drops what comes from anywhere else; and there is one question at a time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Literal

from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.nat import nat_pmp_messages as pmp
from libp2p_lab.nat import pcp_messages as pcp
from libp2p_lab.nat.port_exchange import Exchange, OtherVersion, Request, Response
from libp2p_lab.nat.port_mapper import Grant, MappingRefused, NoRouter, Outside, Wish

PORT = 5351  # of the router
_CONFLICTS = (pcp.PcpResult.CANNOT_PROVIDE_EXTERNAL,)

#: Is told of each message: "sent" or "received", and the message.
Tell = Callable[[Literal["sent", "received"], object], None]


class PortControl:
    """Asks one router.

    Args:
        router: its inner address.
        rng: draws the nonce of PCP, which is no key: whoever sees our datagrams could read it.
        limits: how long an answer is waited for.
        tell: hears what is said.
        port: of the router; tests have others.
        speaks: which of the two it speaks; "" finds out.

    Attributes:
        name: the protocol that it turned out to speak.
        router, own_ip: as `Mapper`.
    """

    def __init__(
        self,
        router: str,
        *,
        rng: random.Random,
        limits: Limits = DEFAULT_LIMITS,
        tell: Tell | None = None,
        port: int = PORT,
        speaks: Literal["", "PCP", "NAT-PMP"] = "",
    ) -> None:
        self.router = router
        self.own_ip = ""
        self._port = port
        self._limits = limits
        self._tell = tell
        self._nonce = rng.randbytes(pcp.NONCE)
        self._speaks = speaks
        self._outer_ip = ""  # as PCP told it last

    @property
    def name(self) -> str:
        """Which of the two it speaks."""
        return self._speaks or "PCP or NAT-PMP"

    async def external_address(self) -> Outside:
        """As `Mapper.external_address`. By PCP the address is known once a port is open."""
        if self._speaks != "NAT-PMP":
            try:
                return await self._announce()
            except OtherVersion:
                pass
            except NoRouter:
                if self._speaks:
                    raise
        response = await self._ask(pmp.PmpAddressRequest())
        assert isinstance(response, pmp.PmpAddressResponse)
        self._check_pmp(response.result)
        self._speaks = "NAT-PMP"
        return Outside(response.ip, response.epoch)

    async def _announce(self) -> Outside:
        response = await self._ask(pcp.PcpAnnounceRequest(self.own_ip or "0.0.0.0"))
        assert isinstance(response, pcp.PcpAnnounceResponse)
        self._speaks = "PCP"  # whatever the result is: the epoch stands beside it
        return Outside(self._outer_ip, response.epoch)

    async def map(self, wish: Wish, port: int, lifetime: int) -> Grant:
        """As `Mapper.map`."""
        if self._speaks == "PCP":
            return await self._map_by_pcp(wish, port, lifetime)
        request = pmp.PmpMapRequest(wish.protocol, wish.port, port, lifetime)
        response = await self._ask(request)
        assert isinstance(response, pmp.PmpMapResponse)
        self._check_pmp(response.result)
        if not response.lifetime:
            raise MappingRefused("the router opens a port for 0 seconds")
        return Grant(response.outer, response.lifetime, Outside("", response.epoch))

    async def _map_by_pcp(self, wish: Wish, port: int, lifetime: int) -> Grant:
        request = pcp.PcpMapRequest(
            self.own_ip, self._nonce, wish.protocol, wish.port, port, lifetime
        )
        response = await self._ask(request)
        assert isinstance(response, pcp.PcpMapResponse)
        self._check_pcp(response.result, response.lifetime)
        if not response.lifetime:
            raise MappingRefused("the router opens a port for 0 seconds")
        self._outer_ip = response.ip
        outside = Outside(response.ip, response.epoch)
        return Grant(response.outer, response.lifetime, outside)

    async def unmap(self, wish: Wish, port: int) -> None:
        """As `Mapper.unmap`: a lifetime of 0, and NAT-PMP wants no outer port beside it."""
        if self._speaks == "PCP":
            asked = self.own_ip, self._nonce, wish.protocol, wish.port, port, 0
            response = await self._ask(pcp.PcpMapRequest(*asked))
            assert isinstance(response, pcp.PcpMapResponse)
            self._check_pcp(response.result, response.lifetime)
        else:
            answer = await self._ask(pmp.PmpMapRequest(wish.protocol, wish.port, 0, 0))
            assert isinstance(answer, pmp.PmpMapResponse)
            self._check_pmp(answer.result)

    async def close(self) -> None:
        """As `Mapper.close`: nothing is kept open between two questions."""

    def _check_pmp(self, result: int) -> None:
        if result == pmp.PmpResult.UNSUPPORTED_VERSION:
            raise OtherVersion("the router does not speak NAT-PMP")
        if result != pmp.PmpResult.SUCCESS:
            raise MappingRefused(f"the router says {_name(pmp.PmpResult, result)}")

    def _check_pcp(self, result: int, lifetime: int) -> None:
        if result != pcp.PcpResult.SUCCESS:
            raise MappingRefused(
                f"the router says {_name(pcp.PcpResult, result)}",
                is_conflict=result in _CONFLICTS,
                retry_after=lifetime,
            )

    async def _ask(self, request: Request) -> Response:
        """One question, repeated until it is answered.

        Raises: `NoRouter`, `OtherVersion`, `ProtocolViolation`.
        """
        loop = asyncio.get_running_loop()
        arrived = _Arrived(self._limits.port_map_strays + 2)
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: arrived, remote_addr=(self.router, self._port)
            )
        except OSError as error:
            raise NoRouter(f"no way to the router {self.router}: {error}") from None
        try:
            self.own_ip = transport.get_extra_info("sockname")[0]
            if isinstance(request, pcp.PcpAnnounceRequest):
                request = pcp.PcpAnnounceRequest(self.own_ip)
            exchange = Exchange(request, loop.time(), self._limits)
            self._send(transport, request)
            while True:
                try:
                    async with asyncio.timeout_at(exchange.next_time):
                        data = await arrived.queue.get()
                except TimeoutError:
                    if exchange.tick(loop.time()):
                        self._send(transport, request)
                    continue
                response = exchange.receive(data)
                if response is not None:
                    if self._tell is not None:
                        self._tell("received", response)
                    return response
        finally:
            transport.close()

    def _send(self, transport: asyncio.DatagramTransport, request: Request) -> None:
        if self._tell is not None:
            self._tell("sent", request)
        transport.sendto(request.encode())


class _Arrived(asyncio.DatagramProtocol):
    """Datagrams that wait; what is too much is dropped. That a port is closed is no news: silence says the same."""

    def __init__(self, most: int) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(most)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if not self.queue.full():
            self.queue.put_nowait(data)


def _name(kind: type[pmp.PmpResult] | type[pcp.PcpResult], result: int) -> str:
    return next((one.name for one in kind if one == result), f"error {result}")
