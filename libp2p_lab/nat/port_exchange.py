"""One question to a router and its answer, by NAT-PMP or PCP: when to ask again, what counts as the answer. A core.

Datagrams get lost, so the question is repeated: after a quarter of a second, then twice as late each time. Others in
the house may send us datagrams, too: only what fits the question counts, and a flood of what does not ends it.

    asked ──▶ asked again ──▶ … ──▶ NoRouter
      └───────────┴──── the answer, "another version", or too much that is none

A router that speaks NAT-PMP alone answers a PCP question in version 0, and says that it knows no other: RFC 6887
section 9.
"""

from __future__ import annotations

from typing import Literal

from libp2p_lab.errors import MalformedMessage, ProtocolViolation
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.nat import nat_pmp_messages as pmp
from libp2p_lab.nat import pcp_messages as pcp
from libp2p_lab.nat.port_mapper import NoRouter

Request = pmp.PmpRequest | pcp.PcpRequest
Response = pmp.PmpResponse | pcp.PcpResponse
State = Literal["asking", "answered", "given up"]


class OtherVersion(MalformedMessage):
    """The router does not speak the version that it was asked in."""


class Exchange:
    """One question.

    Args:
        request: what is asked.
        now: seconds; the question leaves at once.
        limits: how often it is repeated, and how much may come that is no answer.

    Attributes:
        next_time: when to call `tick`.
    """

    def __init__(self, request: Request, now: float, limits: Limits = DEFAULT_LIMITS) -> None:
        self.request = request
        self.state: State = "asking"
        self._limits = limits
        self._wait = limits.port_map_first_wait
        self._tries = 1
        self._strays = 0
        self.next_time = now + self._wait

    def tick(self, now: float) -> bool:
        """The time is up: whether the question leaves once more.

        Raises: `NoRouter` if it was asked often enough.
        """
        if now < self.next_time:
            return False
        if self._tries >= self._limits.port_map_tries:
            self.state = "given up"
            raise NoRouter(f"no answer from the router, asked {self._tries} times")
        self._tries += 1
        self._wait *= 2
        self.next_time = now + self._wait
        return True

    def receive(self, data: bytes) -> Response | None:
        """A datagram from the router: the answer, or None if it is none.

        Raises: `OtherVersion`; `ProtocolViolation` if too much comes that is no answer.
        """
        try:
            response = self._decode(data)
        except OtherVersion:
            self.state = "given up"
            raise
        except MalformedMessage:
            response = None
        if response is None or not self._is_answer(response):
            self._strays += 1
            if self._strays > self._limits.port_map_strays:
                self.state = "given up"
                raise ProtocolViolation(
                    f"{self._strays} datagrams from the router's address, and no answer among them"
                )
            return None
        self.state = "answered"
        return response

    def _decode(self, data: bytes) -> Response:
        asked_by_pcp = isinstance(self.request, pcp.PcpAnnounceRequest | pcp.PcpMapRequest)
        if not asked_by_pcp:
            return pmp.decode_response(data)
        if len(data) >= 8 and data[0] == pmp.VERSION and data[1] >= 128:
            raise OtherVersion("the router speaks NAT-PMP and no PCP")
        response = pcp.decode_response(data)
        if response.result == pcp.PcpResult.UNSUPP_VERSION:
            raise OtherVersion("the router does not speak version 2 of PCP")
        return response

    def _is_answer(self, response: Response) -> bool:
        match self.request, response:
            case (
                pmp.PmpAddressRequest() | pmp.PmpMapRequest(),
                pmp.PmpAddressResponse() | pmp.PmpMapResponse(),
            ):
                return pmp.is_answer(self.request, response)
            case (
                pcp.PcpAnnounceRequest() | pcp.PcpMapRequest(),
                pcp.PcpAnnounceResponse() | pcp.PcpMapResponse(),
            ):
                return pcp.is_answer(self.request, response)
            case _:
                return False
