"""Peer ids over HTTP: a web server and its client prove to each other which peers they are, in three headers.

Each sends the other a challenge, and signs the one that it got, together with the host's name and the other's key:

    client                                                          server
      (a request without anything)                            →
                                          ←  401 WWW-Authenticate:   challenge-client, public-key, opaque
      Authorization: public-key, challenge-server, sig, opaque →
                                          ←  200 Authentication-Info: sig, bearer
      Authorization: bearer   (from now on)                    →

The client may also begin, with its challenge and its key; then the server proves itself first. The server keeps
nothing between requests: what it has to remember goes to the client and back, sealed with a key of its own (`opaque`,
and later the `bearer` token).

The name of the host is what the client asked for over TLS. Without TLS beneath, none of this is worth anything: who
sits in between passes everything on and then reads along.

Two cores, without I/O: headers in, headers out. Spec: http/peer-id-auth.md
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from libp2p_lab.errors import HandshakeFailed, LabError, MalformedMessage
from libp2p_lab.identity.keys import KeyPair, PublicKey
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits
from libp2p_lab.wire import varint

SCHEME = "libp2p-PeerID"
PROTOCOL_ID = "/http-peer-id-auth/1.0.0"
AUTHORIZATION, CHALLENGE, INFO = "Authorization", "WWW-Authenticate", "Authentication-Info"
CHALLENGE_LENGTH = 32
_MAX_HEADER = 2048  # bytes; the spec's advice
_MAC_LENGTH = 32
_PARAMETER = re.compile(r'([a-z-]+)="([^"\\]*)"')

#: Gives that many bytes of chance.
Chance = Callable[[int], bytes]


# -- headers and signatures -------------------------------------------------------------------------------------


def encode_header(parameters: Mapping[str, str]) -> str:
    """The value of a header. Spec: http/peer-id-auth.md#parameters"""
    return f"{SCHEME} " + ", ".join(f'{name}="{value}"' for name, value in parameters.items())


def decode_header(value: str) -> dict[str, str]:
    """The parameters in the value of a header.

    Raises: `MalformedMessage` if it is too long, of another scheme, or names a parameter twice.
    """
    if len(value) > _MAX_HEADER:
        raise MalformedMessage(f"a header of {len(value)} characters: {_MAX_HEADER} are the most")
    scheme, _, rest = value.partition(" ")
    if scheme != SCHEME:
        raise MalformedMessage(f"authentication scheme {scheme[:40]!r} instead of {SCHEME}")
    parameters: dict[str, str] = {}
    for part in re.split(r"\s*,\s*", rest.strip()):
        match = _PARAMETER.fullmatch(part)
        if match is None or match[1] in parameters:
            raise MalformedMessage(
                "the header's parameters do not parse, or one stands there twice"
            )
        parameters[match[1]] = match[2]
    return parameters


def data_to_sign(parameters: Mapping[str, bytes]) -> bytes:
    """What a signature is over: the parameters in the order of their names, each with its length before it.

    Spec: http/peer-id-auth.md#signing
    """
    signed = SCHEME.encode()
    for name in sorted(parameters):
        part = name.encode() + b"=" + parameters[name]
        signed += varint.encode(len(part)) + part
    return signed


def _server_proof(challenge: str, client: PublicKey, hostname: str) -> bytes:
    """What the server signs."""
    return data_to_sign(
        {
            "challenge-server": challenge.encode(),
            "client-public-key": client.to_protobuf(),
            "hostname": hostname.encode(),
        }
    )


def _client_proof(challenge: str, server: PublicKey | None, hostname: str) -> bytes:
    """What the client signs. Without the server's key if it did not tell: so it is in the spec's own example."""
    parameters = {"challenge-client": challenge.encode(), "hostname": hostname.encode()}
    if server is not None:
        parameters["server-public-key"] = server.to_protobuf()
    return data_to_sign(parameters)


def _to_text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def _from_text(text: str) -> bytes:
    """Padding may be left out. Raises: `MalformedMessage`."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise MalformedMessage("a parameter is not in base64url") from None


def _key_in(parameters: Mapping[str, str]) -> PublicKey:
    return PublicKey.from_protobuf(_from_text(_get(parameters, "public-key")))


def _get(parameters: Mapping[str, str], name: str) -> str:
    value = parameters.get(name)
    if not value:
        raise HandshakeFailed(f"the parameter {name} is missing")
    return value


# -- the server -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server shall answer.

    Attributes:
        status: 401 if the client has to say more, 200 if the request may be served.
        header: the name of the header to set; "" for none.
        value: its value.
        peer: who the client is proven to be; None with 401.
        reason: why not, for our own eyes.
    """

    status: int
    header: str = ""
    value: str = ""
    peer: PeerId | None = None
    reason: str = ""


class AuthServer:
    """The server's side.

    Args:
        key: our identity.
        hostnames: the names that we go by. A signature for another name is one that somebody else got and passes on.
        secret: seals what the client carries for us: 32 bytes that nobody else knows.
        chance: gives bytes of chance.
        limits: how long challenges and tokens are good for.
    """

    def __init__(
        self,
        key: KeyPair,
        hostnames: frozenset[str] | set[str],
        *,
        secret: bytes,
        chance: Chance,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._key = key
        self._hostnames = frozenset(hostnames)
        self._secret = secret
        self._chance = chance
        self._limits = limits
        self._used: dict[str, float] = {}  # challenges that were answered -> when they were made

    def respond(self, authorization: str | None, hostname: str, now: float) -> Answer:
        """Judge a request by its Authorization header.

        Args:
            authorization: the header's value; None if there is none.
            hostname: the name that the client asked for in TLS (or the Host header).
            now: seconds since 1970, UTC.
        """
        if hostname not in self._hostnames:
            return Answer(401, reason=f"we are not {hostname[:100]!r}")
        if authorization is None:
            return self._challenge(hostname, now)
        try:
            parameters = decode_header(authorization)
            if "bearer" in parameters:
                return Answer(200, peer=self._read_bearer(parameters["bearer"], hostname, now))
            if "sig" in parameters:
                return self._finish(parameters, hostname, now)
            return self._prove_first(parameters, hostname, now)
        except LabError as error:
            # Whatever was wrong: here is a fresh challenge.
            fresh = self._challenge(hostname, now)
            return Answer(401, fresh.header, fresh.value, reason=str(error))

    def _challenge(self, hostname: str, now: float, **more: str) -> Answer:
        challenge = _to_text(self._chance(CHALLENGE_LENGTH))
        state = {"challenge-client": challenge, "hostname": hostname, "created": now}
        if "client" in more:
            state["client-public-key"] = more.pop("client")
        parameters = {
            "challenge-client": challenge,
            "public-key": _to_text(self._key.public.to_protobuf()),
            **more,
            "opaque": self._seal(state),
        }
        return Answer(401, CHALLENGE, encode_header(parameters))

    def _prove_first(self, parameters: Mapping[str, str], hostname: str, now: float) -> Answer:
        """The client began. Spec: http/peer-id-auth.md#client-initiated-handshake"""
        client = _key_in(parameters)
        proof = _server_proof(_get(parameters, "challenge-server"), client, hostname)
        return self._challenge(
            hostname,
            now,
            client=_to_text(client.to_protobuf()),
            sig=_to_text(self._key.sign(proof)),
        )

    def _finish(self, parameters: Mapping[str, str], hostname: str, now: float) -> Answer:
        """The client has signed. Spec: http/peer-id-auth.md#server-initiated-handshake"""
        state = self._open(_get(parameters, "opaque"))
        challenge = state.get("challenge-client")
        if not isinstance(challenge, str):
            raise HandshakeFailed("this is a token, and no challenge")
        self._check_state(state, hostname, now, self._limits.http_auth_challenge)
        began = state.get("client-public-key")
        client = PublicKey.from_protobuf(_from_text(began)) if began else _key_in(parameters)
        proof = _client_proof(challenge, self._key.public, hostname)
        if not client.verify(proof, _from_text(parameters["sig"])):
            raise HandshakeFailed("the client's signature does not fit")
        self._use_up(challenge, state["created"], now)
        peer = PeerId.from_public_key(client)
        answer = {}
        if not began:
            ours = _server_proof(_get(parameters, "challenge-server"), client, hostname)
            answer["sig"] = _to_text(self._key.sign(ours))
        token = {"is-token": True, "peer-id": str(peer), "hostname": hostname, "created": now}
        answer["bearer"] = self._seal(token)
        return Answer(200, INFO, encode_header(answer), peer)

    def _use_up(self, challenge: str, created: float, now: float) -> None:
        """A challenge is answered once. Remembered no longer than it could be repeated, and so many at most."""
        oldest = now - self._limits.http_auth_challenge
        self._used = {text: made for text, made in self._used.items() if made >= oldest}
        if challenge in self._used:
            raise HandshakeFailed("this challenge was answered before: a replay")
        if len(self._used) >= self._limits.http_auth_challenges:
            raise HandshakeFailed("too many logins at once: try again later")
        self._used[challenge] = created

    def _read_bearer(self, bearer: str, hostname: str, now: float) -> PeerId:
        state = self._open(bearer)
        if state.get("is-token") is not True:
            raise HandshakeFailed("this is a challenge, and no token")
        self._check_state(state, hostname, now, self._limits.http_auth_bearer)
        return PeerId.from_text(state["peer-id"])

    def _check_state(
        self, state: Mapping[str, Any], hostname: str, now: float, lifetime: float
    ) -> None:
        if state["hostname"] != hostname:
            raise HandshakeFailed("made for another host name")
        if not 0 <= now - state["created"] <= lifetime:
            raise HandshakeFailed("expired")

    def _seal(self, state: Mapping[str, Any]) -> str:
        data = json.dumps(state, separators=(",", ":")).encode()
        return _to_text(hmac.digest(self._secret, data, "sha256") + data)

    def _open(self, sealed: str) -> dict[str, Any]:
        """What `_seal` sealed. Raises: `HandshakeFailed` if it was not us, or it was changed."""
        data = _from_text(sealed)
        mac, data = data[:_MAC_LENGTH], data[_MAC_LENGTH:]
        if not hmac.compare_digest(mac, hmac.digest(self._secret, data, "sha256")):
            raise HandshakeFailed("not sealed by us, or altered since")
        state: dict[str, Any] = json.loads(data)
        return state


# -- the client -------------------------------------------------------------------------------------------------


class AuthClient:
    """The client's side, for one server.

    Args:
        key: our identity.
        hostname: the name that we ask for in TLS.
        chance: gives bytes of chance.
        expected_peer: who the server must be; None for anybody.

    Attributes:
        server: who the server proved to be; None until then.
        bearer: the token for further requests; "" until there is one.
    """

    def __init__(
        self, key: KeyPair, hostname: str, *, chance: Chance, expected_peer: PeerId | None = None
    ) -> None:
        self._key = key
        self._hostname = hostname
        self._expected_peer = expected_peer
        self._challenge = _to_text(chance(CHALLENGE_LENGTH))
        self._server_key: PublicKey | None = None
        self.server: PeerId | None = None
        self.bearer = ""

    def begin(self) -> str:
        """The first Authorization header, if we begin: then the server proves itself before we send anything."""
        return encode_header(
            {
                "challenge-server": self._challenge,
                "public-key": _to_text(self._key.public.to_protobuf()),
            }
        )

    def answer(self, challenge: str) -> str:
        """The Authorization header that answers a WWW-Authenticate header.

        Raises: `MalformedMessage`, `HandshakeFailed`: do not send anything to this server.
        """
        parameters = decode_header(challenge)
        # A server gets our signature for its own key and name only: it can pass it on to nobody.
        self._server_key = _key_in(parameters) if "public-key" in parameters else None
        proof = _client_proof(
            _get(parameters, "challenge-client"), self._server_key, self._hostname
        )
        ours = {"opaque": parameters["opaque"]} if "opaque" in parameters else {}
        ours["sig"] = _to_text(self._key.sign(proof))
        if "sig" in parameters:
            self._verify(_key_in(parameters), parameters["sig"])
        else:
            ours["public-key"] = _to_text(self._key.public.to_protobuf())
            ours["challenge-server"] = self._challenge
        return encode_header(ours)

    def finish(self, info: str) -> PeerId:
        """Take the Authentication-Info header. From now on `authorization` is what to send.

        Returns: who the server is.

        Raises: `MalformedMessage`, `HandshakeFailed`: do not believe the answer that came with it.
        """
        parameters = decode_header(info)
        if self.server is None:
            key = self._server_key or _key_in(parameters)
            self._verify(key, _get(parameters, "sig"))
        assert self.server is not None  # or verifying had raised
        self.bearer = _get(parameters, "bearer")
        return self.server

    @property
    def authorization(self) -> str:
        """The Authorization header of further requests. Spec: http/peer-id-auth.md#libp2p-bearer-token"""
        return encode_header({"bearer": self.bearer})

    def _verify(self, server: PublicKey, signature: str) -> None:
        proof = _server_proof(self._challenge, self._key.public, self._hostname)
        if not server.verify(proof, _from_text(signature)):
            raise HandshakeFailed("the server's signature does not fit")
        peer = PeerId.from_public_key(server)
        if self._expected_peer not in (None, peer):
            raise HandshakeFailed(f"the server is {peer}, not {self._expected_peer}")
        self.server = peer
