"""ICE for WebRTC-direct, as a core: "is somebody there?", asked and answered in STUN messages.

Between browsers ICE tries many pairs of addresses. Here the listener's address is known, and it has only one: the
dialer asks (a binding request), the listener answers, and that pair is it. ICE calls such a listener "lite".

There is no signalling either, by which both would tell each other a user name and a password. So the dialer makes up
one random text and uses it for all four. It travels in each request, where the listener reads it:

    USERNAME  libp2p+webrtc+v1/<random>:libp2p+webrtc+v1/<random>

The prefix names the version. The dialer asks again now and then: as long as there are answers, the listener agrees to
be sent to (RFC 7675).

Spec: webrtc/webrtc-direct.md#browser-to-public-server
"""

from __future__ import annotations

import os
import string
import struct
from dataclasses import dataclass

from aioice import stun

PREFIX = "libp2p+webrtc+v1/"
MAX_UFRAG = 256  # characters (RFC 8839)
MIN_UFRAG = 22  # of a password (RFC 8839), and the two are one here
_ALPHABET = string.ascii_letters + string.digits
_ICE_CHARS = frozenset(_ALPHABET + "+/")
_PRIORITY = 1862270975  # of a candidate that the other side has not heard of (RFC 8445)
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 2.0  # seconds until an unanswered question is asked again
_UNANSWERED = 16  # questions that an answer may still come to
_UNREADABLE = (ValueError, IndexError, struct.error)  # what aioice raises for what is no STUN


def make_ufrag() -> str:
    """A fresh name, which is the password too."""
    return PREFIX + "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in os.urandom(32))


def read_ufrag(data: bytes) -> str | None:
    """The name in a stranger's first request, if it is one that follows the rules."""
    message = _parse(data)
    if message is None or message.message_class is not stun.Class.REQUEST:
        return None
    ufrag, _, other = str(message.attributes.get("USERNAME", "")).partition(":")
    if ufrag != other or not ufrag.startswith(PREFIX) or not _ICE_CHARS.issuperset(ufrag):
        return None
    if not MIN_UFRAG <= len(ufrag) <= MAX_UFRAG:
        return None
    return ufrag if message.check_message_integrity(ufrag.encode()) else None


def _parse(data: bytes) -> stun.Message | None:
    try:
        message = stun.parse_message(data)
    except _UNREADABLE:
        return None
    return message if message.message_method is stun.Method.BINDING else None


@dataclass(frozen=True, slots=True)
class Answered:
    """The remote answered us.

    Attributes:
        rtt: the round trip in seconds.
    """

    rtt: float


@dataclass(frozen=True, slots=True)
class Asked:
    """The remote asked us; the answer is ready to be sent."""


class IceAgent:
    """One side of one pair of addresses.

    Args:
        ufrag: the name on which both agree.
        is_dialer: whether we ask; the listener only answers.
        interval: seconds between two questions, once the first was answered.
    """

    def __init__(self, ufrag: str, *, is_dialer: bool, interval: float) -> None:
        self._ufrag = ufrag
        self._key = ufrag.encode()
        self._is_dialer = is_dialer
        self._interval = interval
        self._tie_breaker = int.from_bytes(os.urandom(8))
        self._asked: dict[bytes, float] = {}  # transaction id -> when
        self._wait = _FIRST_WAIT
        self._ask_at: float | None = 0.0 if is_dialer else None
        self._outbox: list[bytes] = []
        self.is_connected = False

    def receive(self, data: bytes, source: tuple[str, int], now: float) -> list[Answered | Asked]:
        """Take a STUN message. What does not follow the rules is dropped without a word, as is proper for UDP."""
        message = _parse(data)
        if message is None or not message.check_message_integrity(self._key):
            return []
        match message.message_class:
            case stun.Class.REQUEST:
                if message.attributes.get("USERNAME") == f"{self._ufrag}:{self._ufrag}":
                    self._answer(message, source)
                    self.is_connected = self.is_connected or not self._is_dialer
                    return [Asked()]
            case stun.Class.RESPONSE:
                asked_at = self._asked.pop(message.transaction_id, None)
                if asked_at is not None:
                    self._asked.clear()
                    self.is_connected = True
                    self._ask_at = now + self._interval
                    return [Answered(now - asked_at)]
        return []

    def _answer(self, request: stun.Message, source: tuple[str, int]) -> None:
        answer = stun.Message(
            stun.Method.BINDING,
            stun.Class.RESPONSE,
            request.transaction_id,
            {"XOR-MAPPED-ADDRESS": source},
        )
        answer.add_message_integrity(self._key)
        self._outbox.append(bytes(answer))

    def ask(self, now: float) -> None:
        """Ask whether the remote is there."""
        question = stun.Message(
            stun.Method.BINDING,
            stun.Class.REQUEST,
            attributes={
                "USERNAME": f"{self._ufrag}:{self._ufrag}",
                "PRIORITY": _PRIORITY,
                "ICE-CONTROLLING" if self._is_dialer else "ICE-CONTROLLED": self._tie_breaker,
            },
        )
        if self._is_dialer:
            question.attributes["USE-CANDIDATE"] = None
        question.add_message_integrity(self._key)
        self._outbox.append(bytes(question))
        self._asked[question.transaction_id] = now
        if len(self._asked) > _UNANSWERED:
            del self._asked[next(iter(self._asked))]

    def timer_at(self) -> float | None:
        """When `handle_timer` wants to be called."""
        return self._ask_at

    def handle_timer(self, now: float) -> None:
        """The time of `timer_at` has come."""
        if self._ask_at is not None and now >= self._ask_at:
            self.ask(now)
            if self.is_connected:
                self._ask_at = now + self._interval
            else:
                self._ask_at = now + self._wait
                self._wait = min(2 * self._wait, _LONGEST_WAIT)

    def datagrams_to_send(self) -> list[bytes]:
        """What is to be sent now."""
        outbox, self._outbox = self._outbox, []
        return outbox
