"""Rendezvous with py-libp2p 0.8.1, as far as that goes.

Its messages are those of the spec but for one field. Where the spec has a signed peer record (field 2 of a
registration, bytes), py-libp2p has a message without a signature: the peer's id and its addresses. No other
implementation at hand has rendezvous at all. So this proves: framing, all five kinds of messages, every other field,
the numbers of the statuses, cookies and pages, in both directions. It does not prove that somebody else opens our
signed records there; that our envelopes verify elsewhere is proven with identify.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import libp2p_lab as lab
from libp2p_lab.content.registrations import Refused, Registrations
from libp2p_lab.content.rendezvous_messages import Register, RegisterResponse, Status
from libp2p_lab.foreign import ForeignError
from libp2p_lab.wire import protobuf
from tests.interop.meeting import Meeting, meet, our_host

pytestmark = pytest.mark.timeout(120)

HOUR = 3600


def services(registrations: Registrations | None = None) -> list[Any]:
    return [lab.Identify(), lab.Ping(), lab.Rendezvous(registrations)]


@asynccontextmanager
async def with_py(registrations: Registrations | None = None) -> AsyncIterator[Meeting]:
    async with meet("py", parts={"services": services(registrations)}, rendezvous=True) as m:
        yield m


def unsigned(host: lab.Host) -> bytes:
    """What py-libp2p has in the place of a signed record."""
    addrs = [protobuf.bytes_field(2, bytes(addr.without_peer())) for addr in host.addrs]
    return protobuf.bytes_field(1, bytes(host.peer_id)) + b"".join(addrs)


async def test_we_ask_their_point() -> None:
    async with with_py() as m, our_host(services=services()) as other:
        point = m.theirs.addrs[0]
        with pytest.raises(Refused, match="Peer can only register itself") as refused:
            await m.host.rendezvous.register(point, "app", HOUR)  # it takes our envelope for a peer
        assert refused.value.status == Status.E_NOT_AUTHORIZED
        for host in (m.host, other):
            answer = await host.rendezvous._ask(point, Register("app", unsigned(host), HOUR))
            assert answer == RegisterResponse(Status.OK, "OK", HOUR)
        answer = await other.rendezvous._ask(point, Register("app", unsigned(other), 73 * HOUR))
        assert isinstance(answer, RegisterResponse)
        assert answer.status == Status.E_INVALID_TTL

        # Two stand on the list. What nobody has signed is dropped, page by page.
        first = await m.host.rendezvous.discover(point, "app", limit=1)
        assert (first.peers, first.dropped) == ((), 1)
        rest = await m.host.rendezvous.discover(point, "app", cookie=first.cookie)
        assert (rest.peers, rest.dropped, rest.cookie) == ((), 1, b"")
        both = await m.host.rendezvous.discover(point, "app")
        assert both.dropped == 2
        assert (await m.host.rendezvous.discover(point, "other")).dropped == 0
        with pytest.raises(Refused) as refused:
            await m.host.rendezvous.discover(point, "n" * 300)
        assert refused.value.status == Status.E_INVALID_NAMESPACE


async def test_they_ask_our_point() -> None:
    async with with_py(Registrations()) as m, our_host(services=services()) as other:
        point = str(m.host.addrs[0])

        async def ask(namespace: str, **more: Any) -> dict[str, Any]:
            found: dict[str, Any] = await m.theirs.call(
                "rendezvous_discover", addr=point, namespace=namespace, **more
            )
            return found

        with pytest.raises(ForeignError, match="error 101") as refused:
            await m.theirs.call("rendezvous_register", addr=point, namespace="app", ttl=2 * HOUR)
        assert (
            refused.value.name == "InvalidPeerInfoError"
        )  # 101 with them, "no signed record" with us
        nobody = await ask("app")
        assert (nobody["status"], nobody["registrations"]) == (Status.OK, [])
        await m.theirs.call("rendezvous_unregister", addr=point, namespace="app")

        await other.rendezvous.register(m.host.addrs[0], "app", 3 * HOUR)
        first = await ask("app", limit=1)
        [registration] = first["registrations"]
        assert registration["ns"] == "app"
        assert 3 * HOUR - 60 < registration["ttl"] <= 3 * HOUR
        # It reads our envelope as something else, and gives it back whole: the record is as it was signed.
        record = lab.PeerRecord.open(bytes.fromhex(registration["record"]))
        assert (record.peer_id, [*record.addrs]) == (
            other.peer_id,
            [addr.without_peer() for addr in other.addrs],
        )
        again = await ask("app", cookie=first["cookie"])
        assert (again["status"], again["registrations"]) == (Status.OK, [])
        wrong = await ask("elsewhere", cookie=first["cookie"])
        assert wrong["status"] == Status.E_INVALID_COOKIE
        assert "another namespace" in wrong["text"]
