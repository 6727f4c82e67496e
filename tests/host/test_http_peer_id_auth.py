"""Peer-id authentication over HTTP: the vectors, both handshakes, and S52."""

from __future__ import annotations

import base64
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libp2p_lab.errors import HandshakeFailed, LabError, MalformedMessage
from libp2p_lab.host.http_peer_id_auth import (
    CHALLENGE,
    INFO,
    Answer,
    AuthClient,
    AuthServer,
    data_to_sign,
    decode_header,
    encode_header,
)
from libp2p_lab.identity import KeyPair, PeerId
from libp2p_lab.limits import Limits
from tests.support import load_vectors

SIGNING, SERVER_FIRST, CLIENT_FIRST = load_vectors("http_peer_id_auth.json")["vectors"]
HOST = "example.com"
SERVER, CLIENT = KeyPair.generate(), KeyPair.generate()
NOW = 1_000_000.0


def server(key: KeyPair = SERVER, **options) -> AuthServer:
    chance = random.Random(1).randbytes
    return AuthServer(key, {HOST, "www." + HOST}, secret=bytes(32), chance=chance, **options)


def client(key: KeyPair = CLIENT, **options) -> AuthClient:
    return AuthClient(key, HOST, chance=random.Random(2).randbytes, **options)


# -- vectors ---------------------------------------------------------------------------------------


def keys_of(row) -> tuple[KeyPair, KeyPair]:
    return tuple(
        KeyPair.from_protobuf(bytes.fromhex(row[f"{side}_private_pb"]))
        for side in ("server", "client")
    )


def test_vector_of_signing() -> None:
    key = KeyPair.from_protobuf(bytes.fromhex(SIGNING["server_private_pb"]))
    data = data_to_sign(
        {
            "hostname": HOST.encode(),
            "client-public-key": bytes.fromhex(SIGNING["client_public_pb"]),
            "challenge-server": SIGNING["challenge_server"].encode(),
        }
    )
    assert data.hex() == SIGNING["data_to_sign"]
    assert base64.urlsafe_b64encode(key.sign(data)).decode() == SIGNING["signature_b64url"]


@pytest.mark.parametrize("row", [SERVER_FIRST, CLIENT_FIRST], ids=["server first", "client first"])
def test_vectors_of_the_client(row) -> None:
    """Given the example's challenges our client says the example's words."""
    server_key, client_key = keys_of(row)
    challenge = base64.urlsafe_b64decode(row["challenge_server"])
    steps = [step["value"] for step in row["steps"]]
    ours = AuthClient(client_key, HOST, chance=lambda n: challenge)
    if row is CLIENT_FIRST:
        assert decode_header(ours.begin()) == decode_header(steps.pop(0))
    assert decode_header(ours.answer(steps[0])) == decode_header(steps[1])
    assert ours.finish(steps[2]) == PeerId.from_public_key(server_key.public)
    if row is SERVER_FIRST:
        assert ours.authorization == steps[3]


def test_vector_of_the_server() -> None:
    """The example's first words get the example's signature."""
    server_key, _ = keys_of(CLIENT_FIRST)
    challenge = base64.urlsafe_b64decode(CLIENT_FIRST["challenge_client"])
    ours = AuthServer(server_key, {HOST}, secret=bytes(32), chance=lambda n: challenge)
    answer = ours.respond(CLIENT_FIRST["steps"][0]["value"], HOST, NOW)
    expected = decode_header(CLIENT_FIRST["steps"][1]["value"])
    assert (answer.status, answer.header) == (401, CHALLENGE)
    found = decode_header(answer.value)
    assert {**found, "opaque": ""} == {**expected, "opaque": ""}


# -- both handshakes -------------------------------------------------------------------------------


def log_in(web: AuthServer, browser: AuthClient, *, begin: bool, now: float = NOW) -> Answer:
    first = web.respond(browser.begin() if begin else None, HOST, now)
    assert (first.status, first.header, first.peer) == (401, CHALLENGE, None)
    last = web.respond(browser.answer(first.value), HOST, now + 1)
    assert last.status == 200, last.reason
    assert last.header == INFO
    browser.finish(last.value)
    return last


@pytest.mark.parametrize("begin", [False, True], ids=["server first", "client first"])
@pytest.mark.parametrize(
    "kinds", list(itertools.product(["ed25519", "ecdsa", "secp256k1"], repeat=2)), ids="-".join
)
def test_both_learn_who_the_other_is(begin, kinds) -> None:
    ours, theirs = (KeyPair.generate(kind) for kind in kinds)
    web, browser = server(ours), client(theirs)
    answer = log_in(web, browser, begin=begin)
    assert answer.peer == PeerId.from_public_key(theirs.public)
    assert browser.server == PeerId.from_public_key(ours.public)
    again = web.respond(browser.authorization, HOST, NOW + 100)
    assert (again.status, again.peer) == (200, answer.peer)


def test_the_client_that_begins_knows_the_server_before_it_signs() -> None:
    web, browser = server(), client(expected_peer=PeerId.from_public_key(CLIENT.public))
    challenge = web.respond(browser.begin(), HOST, NOW).value
    with pytest.raises(HandshakeFailed, match="the server is"):
        browser.answer(challenge)


def test_a_server_that_proves_nothing() -> None:
    web, browser = server(), client()
    challenge = web.respond(None, HOST, NOW).value
    info = web.respond(browser.answer(challenge), HOST, NOW).value
    parameters = decode_header(info)
    for change in ({"sig": parameters["bearer"]}, {"sig": ""}):
        with pytest.raises(LabError):
            browser.finish(encode_header(parameters | change))
        assert browser.server is None
    other = client()
    other.answer(challenge)
    with pytest.raises(LabError):
        AuthClient(SERVER, HOST, chance=bytes).finish(info)


# -- S52 -------------------------------------------------------------------------------------------


def signed(web: AuthServer, browser: AuthClient) -> str:
    return browser.answer(web.respond(None, HOST, NOW).value)


def refuse(answer: Answer, reason: str) -> None:
    assert answer.status == 401
    assert answer.peer is None
    assert reason in answer.reason
    assert not answer.value or "bearer" not in answer.value


def test_s52_a_replayed_challenge() -> None:
    web = server()
    words = signed(web, client())
    assert web.respond(words, HOST, NOW + 1).status == 200
    refuse(web.respond(words, HOST, NOW + 2), "replay")
    refuse(web.respond(words, HOST, NOW + 1000), "expired")


def test_s52_an_answer_that_comes_too_late() -> None:
    web = server()
    refuse(web.respond(signed(web, client()), HOST, NOW + 301), "expired")


def test_s52_another_host_name() -> None:
    web = server()
    refuse(web.respond(signed(web, client()), "www." + HOST, NOW), "another host name")
    refuse(web.respond(None, "evil.example", NOW), "we are not")
    browser = client()
    log_in(web, browser, begin=False)
    refuse(web.respond(browser.authorization, "www." + HOST, NOW), "another host name")


def test_s52_an_expired_token() -> None:
    web, browser = server(), client()
    log_in(web, browser, begin=True)
    assert web.respond(browser.authorization, HOST, NOW + 3600).status == 200
    refuse(web.respond(browser.authorization, HOST, NOW + 3602), "expired")
    refuse(web.respond(browser.authorization, HOST, NOW - 10), "expired")


def test_s52_an_altered_opaque_and_an_altered_token() -> None:
    web, browser = server(), client()
    words = decode_header(signed(web, browser))
    data = bytearray(base64.urlsafe_b64decode(words["opaque"]))
    for position in range(0, len(data), 5):
        data[position] ^= 1
        altered = base64.urlsafe_b64encode(data).decode()
        refuse(
            web.respond(encode_header(words | {"opaque": altered}), HOST, NOW), "not sealed by us"
        )
        refuse(web.respond(encode_header({"bearer": altered}), HOST, NOW), "not sealed by us")
        data[position] ^= 1
    elsewhere = AuthServer(SERVER, {HOST}, secret=b"x" * 32, chance=bytes)
    refuse(elsewhere.respond(encode_header(words), HOST, NOW), "not sealed by us")


def test_s52_a_challenge_is_no_token_and_a_token_no_challenge() -> None:
    web, browser = server(), client()
    words = decode_header(signed(web, browser))
    refuse(web.respond(encode_header({"bearer": words["opaque"]}), HOST, NOW), "no token")
    log_in(web, browser, begin=True)
    refuse(
        web.respond(encode_header(words | {"opaque": browser.bearer}), HOST, NOW), "no challenge"
    )


def test_s52_a_signature_of_somebody_else() -> None:
    web = server()
    words = decode_header(signed(web, client()))
    mine = base64.urlsafe_b64encode(SERVER.public.to_protobuf()).decode()
    refuse(web.respond(encode_header(words | {"public-key": mine}), HOST, NOW), "does not fit")


def test_s52_what_is_remembered_is_bounded() -> None:
    web = server(limits=Limits(http_auth_challenges=5))
    for _ in range(5):
        assert web.respond(signed(web, client()), HOST, NOW + 1).status == 200
    refuse(web.respond(signed(web, client()), HOST, NOW + 1), "too many")
    words = client().answer(web.respond(None, HOST, NOW + 400).value)
    assert web.respond(words, HOST, NOW + 400).status == 200


# -- headers ---------------------------------------------------------------------------------------

NAMES = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20)
VALUES = st.text("abcXYZ012-_=", max_size=60)


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=6))
def test_headers_round_trip(parameters) -> None:
    assert decode_header(encode_header(parameters)) == parameters


@given(st.text(max_size=100), st.booleans())
def test_garbage_is_refused_by_both_sides(text, with_scheme) -> None:
    value = f"libp2p-PeerID {text}" if with_scheme else text
    assert server().respond(value, HOST, NOW).status == 401
    for take in (client().answer, client().finish):
        with pytest.raises((MalformedMessage, HandshakeFailed)):
            take(value)


@given(
    st.dictionaries(
        st.sampled_from(["sig", "opaque", "bearer", "public-key", "challenge-server"]), VALUES
    )
)
def test_garbage_in_the_right_places(parameters) -> None:
    answer = server().respond(encode_header(parameters), HOST, NOW)
    assert (answer.status, answer.peer) == (401, None)


def test_a_header_of_2049_bytes() -> None:
    with pytest.raises(MalformedMessage, match="2049"):
        decode_header("x" * 2049)
