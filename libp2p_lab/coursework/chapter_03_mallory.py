"""E3.5: be mallory. Five bobs with one line missing each, and the bob whom none of the attacks fools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.coursework.render import shown
from libp2p_lab.coursework.scratch_peers import FLAWS, ORDER, Alice, Cashier, Victim, scene
from libp2p_lab.errors import LabError
from libp2p_lab.identity.peer_id import PeerId

BINDING = "noise/README.md#static-key-authentication"
POINTS = len(FLAWS) + 1


def _fooled(victim: Victim, alice: Alice) -> bool:
    """Whether the attack has done what it should."""
    if isinstance(victim, Cashier):
        return victim.orders.count(ORDER) > 1
    return victim.believes == PeerId.from_public_key(alice.public)


def _state(victim: Victim) -> str:
    if isinstance(victim, Cashier):
        return f"bob has paid {len(victim.orders)} time(s)"
    believed = victim.believes
    return f"bob takes you for {believed}" if believed else "bob is not convinced of anything"


def _attack(exam: Exam, flaw: str, attack: Any, is_sound: bool) -> tuple[Victim, Alice]:
    """Run an attack; a refusal by bob ends it, and is remembered in the victim."""
    victim, alice = scene(flaw, is_sound, exam.rng)
    exam.sent = f"attack {flaw!r} on {'the sound bob' if is_sound else 'the bob with this flaw'}"
    try:
        attack(victim, alice)
    except LabError as problem:
        if victim.refusal is None:
            raise
        exam.note(f"{flaw}: {'the sound bob' if is_sound else 'bob'} said: {problem}")
    return victim, alice


def _check_attack(exam: Exam, flaw: str, attack: Any) -> str:
    """The flawed bob must fall for it, the sound one must not; gives the name of the sound one's error."""
    if not callable(attack):
        exam.reject(
            "wrong-type", f"attack {flaw!r} is no function(victim, alice)", got=shown(attack)
        )
    victim, alice = _attack(exam, flaw, attack, is_sound=False)
    if not _fooled(victim, alice):
        got = f"{_state(victim)}: {victim.refusal}" if victim.refusal else _state(victim)
        exam.reject(flaw, f"the bob with the flaw {flaw!r} is not fooled", got=got)
    victim, alice = _attack(exam, flaw, attack, is_sound=True)
    if _fooled(victim, alice):
        exam.reject("reaches-in", f"{flaw}: even the sound bob is fooled", got=_state(victim))
    exam.count("attacks that fooled the flawed bob, and not the sound one")
    return type(victim.refusal).__name__ if victim.refusal else ""


async def examine_mallory(exam: Exam, answer: Any) -> None:
    """E3.5: each attack on the bob who has the flaw, then on the one who has not; then what the sound one answers."""
    if (
        not isinstance(answer, tuple | list)
        or len(answer) != 2
        or not all(isinstance(part, Mapping) for part in answer)
    ):
        exam.reject("wrong-type", "the answer is two dicts: (attacks, refusals)", got=shown(answer))
    attacks, claims = answer
    unknown = [str(name) for name in (*attacks, *claims) if name not in FLAWS]
    if unknown:
        exam.reject("wrong-type", f"there is no flaw {unknown[0]!r}", expected=", ".join(FLAWS))
    tried = {flaw: attacks[flaw] for flaw in FLAWS if attacks.get(flaw) is not None}
    exam.require(tried, "nothing", "there is no attack yet", expected=", ".join(FLAWS))
    found = {flaw: _check_attack(exam, flaw, attack) for flaw, attack in tried.items()}
    for flaw, name in found.items():
        claimed = claims.get(flaw)
        if claimed not in (None, name):
            exam.reject(
                "claim",
                f"{flaw}: the sound bob refuses otherwise",
                got=shown(claimed),
                expected="what he raises when you run your attack on him",
            )
    is_claimed = len(found) == len(FLAWS) and all(claims.get(flaw) for flaw in FLAWS)
    exam.share = (len(found) + is_claimed) / POINTS
    missing = [flaw for flaw in FLAWS if flaw not in found]
    if missing:
        exam.note(f"A point each is left for: {', '.join(missing)}.")
    elif not is_claimed:
        exam.note("The last point is for the five errors by which the sound bob refuses.")


MALLORY = Check(
    id="03.mallory",
    exercise="E3.5",
    title="Be mallory",
    level="L5",
    points=POINTS,
    objectives=("X.6", "X.5"),
    starter="""\
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from libp2p_lab.coursework.scratch_peers import certificate_around, scene
from libp2p_lab.security.noise import SIGNATURE_PREFIX, HandshakePayload
from libp2p_lab.security.noise_xx import NoiseHandshake
from libp2p_lab.security.tls_certificate import SignedKey

# victim, alice = scene("no_signature") gives bob with that flaw; with is_sound=True bob without it.
# Each attack is a function(victim, alice). Bob must take you for alice (nonce_reset: he must pay twice).
attacks = {
    "no_signature": None,  # victim.receive(message 0) → message 1; victim.receive(message 2)
    "no_prefix": None,     # the same; alice.log_in(32 bytes) signs them
    "wrong_peer": None,    # victim.hello() → message 0; victim.receive(message 1)
    "nonce_reset": None,   # victim.wire[0] is a message; victim.deliver(message)
    "certificate": None,   # victim.show(certificate, proof); victim.challenge; alice.certificate
}
# What does the sound bob raise at each? "HandshakeFailed", "PeerIdMismatch" or "ProtocolViolation"
refusals = {}
await lab.check("03.mallory", (attacks, refusals))
""",
    hints=(
        "Begin with nonce_reset, which is two lines, and wrong_peer, in which you do nothing wrong at all: you are "
        "mallory, and say so.",
        "You always have a static key of your own: NoiseHandshake(is_initiator=True, static=…, ephemeral=…). The "
        "payload is where you lie. no_signature: alice's key, any signature. no_prefix: what can alice.log_in be made "
        "to sign?",
        "no_signature: h.write_message().encode() → victim.receive → h.read_message(…) → "
        "victim.receive(h.write_message(HandshakePayload(alice.public.to_protobuf(), b'x').encode()).encode()). "
        "no_prefix: the signature is alice.log_in(your static public key). certificate: own = "
        "certificate_around(SignedKey(alice.public.to_protobuf(), b'x').encode()); victim.show(own.der, "
        "own.private_key.sign(victim.challenge, ec.ECDSA(hashes.SHA256()))).",
    ),
    rules=(
        Rule("nothing", "Write one attack, and leave the others at None: each counts by itself."),
        Rule(
            "no_signature",
            "This bob reads the key in the payload, and that is all. Send alice's public key with any signature.",
            BINDING,
        ),
        Rule(
            "no_prefix",
            "This bob wants a signature over the 32 bytes of your static key, and nothing before them. Who signs 32 "
            "bytes for anybody who asks?",
            BINDING,
        ),
        Rule(
            "wrong_peer",
            "This bob checks every signature, and forgets whom he wanted. Answer as yourself, with a key of your own "
            "and a right signature (with its prefix).",
            "noise/README.md#the-noise-handshake",
        ),
        Rule(
            "nonce_reset",
            "This bob opens every message as if it were the first. You hold one in your hands.",
            "noise/README.md#encryption-and-io",
        ),
        Rule(
            "certificate",
            "This bob looks into the extension, reads alice's key and believes it. The certificate must be "
            "self-signed, and you must hold its key: so make your own, and copy what is public.",
            "tls/tls.md#libp2p-public-key-extension",
        ),
        Rule(
            "reaches-in",
            "You have changed bob himself. Mallory has messages only: victim.receive, show, deliver.",
        ),
        Rule(
            "claim",
            "Run your attack on scene(…, is_sound=True) and read the class of the error.",
        ),
    ),
    examine=examine_mallory,
)
