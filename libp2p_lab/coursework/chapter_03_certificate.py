"""E3.6: a certificate that no authority signed, and what it proves all the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from libp2p_lab.coursework.chapter_03_vectors import TLS_CERTIFICATES
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import REFUSALS, Exam
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.security.tls_certificate import EXTENSION, SIGNATURE_PREFIX, SignedKey

AUTHENTICATION = "tls/tls.md#peer-authentication"
EXTENSION_PAGE = "tls/tls.md#libp2p-public-key-extension"
NOISE_PREFIX = b"noise-libp2p-static-key:"
NOW = 1_764_000_000.0  # seconds since 1970: November 2025; the spec's own certificates hold from 1975 to 4096
DAY = timedelta(days=1)
KINDS = ("ed25519", "secp256k1", "ecdsa")
UNKNOWN = x509.ObjectIdentifier("1.2.3.4.5.6.7")
USAGE = x509.KeyUsage(True, False, False, False, False, False, False, False, False)

Extension = tuple[x509.ExtensionType, bool]


def _fresh(exam: Exam) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(exam.rng.getrandbits(255) + 1, ec.SECP256R1())


def _info(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _signed(
    identity: KeyPair,
    key: ec.EllipticCurvePrivateKey,
    prefix: bytes = SIGNATURE_PREFIX,
    signer: KeyPair | None = None,
) -> Extension:
    signature = (signer or identity).sign(prefix + _info(key))
    value = SignedKey(identity.public.to_protobuf(), signature).encode()
    return x509.UnrecognizedExtension(EXTENSION, value), False


def _certificate(
    key: ec.EllipticCurvePrivateKey,
    extensions: Sequence[Extension],
    *,
    days: tuple[int, int] = (-1, 1),
    signer: ec.EllipticCurvePrivateKey | None = None,
    name: str = "",
) -> bytes:
    """A certificate in DER, as right or wrong as the arguments make it."""
    now = datetime.fromtimestamp(NOW, UTC)
    attributes = [x509.NameAttribute(x509.NameOID.COMMON_NAME, name)] if name else []
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(attributes))
        .issuer_name(x509.Name(attributes))
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
        .public_key(key.public_key())
    )
    for value, is_critical in extensions:
        builder = builder.add_extension(value, critical=is_critical)
    return builder.sign(signer or key, hashes.SHA256()).public_bytes(Encoding.DER)


# -- what must be believed ----------------------------------------------------------------------------------------


def _check_believed(exam: Exam, verify: Any, what: str, der: bytes, who: str) -> None:
    exam.sent = f"verify_certificate(…, {NOW:.0f}): {what}, {len(der)} bytes"
    try:
        got = verify(der, NOW)
    except REFUSALS as problem:
        exam.reject("refuses", f"a right certificate was refused: {problem}", expected=who)
    exam.equal(str(got), who, "who", "the certificate proves another peer id")
    exam.count("certificates believed")


def _right_ones(exam: Exam) -> list[tuple[str, bytes, str]]:
    found = []
    for kind in KINDS:
        identity, key = KeyPair.generate(kind, exam.rng), _fresh(exam)
        who, ours = str(PeerId.from_public_key(identity.public)), _signed(identity, key)
        unknown = (x509.UnrecognizedExtension(UNKNOWN, b"\x05\x00"), False)
        found += [
            (f"an identity of kind {kind}", _certificate(key, [ours]), who),
            (
                "another extension before ours, which may be passed over",
                _certificate(key, [unknown, ours]),
                who,
            ),
            (
                "a critical extension that is known, and means nothing here",
                _certificate(key, [(USAGE, True), ours]),
                who,
            ),
            (
                "our extension marked as critical, and a name that means nothing",
                _certificate(key, [(ours[0], True)], name="example.com"),
                who,
            ),
        ]
    return found


# -- what must be refused -----------------------------------------------------------------------------------------


def _wrong_ones(exam: Exam) -> list[tuple[str, str, bytes]]:
    identity = KeyPair.generate(exam.rng.choice(KINDS), exam.rng)
    mallory = KeyPair.generate(rng=exam.rng)
    key, other = (_fresh(exam) for _ in range(2))
    ours = _signed(identity, key)
    unknown = (x509.UnrecognizedExtension(UNKNOWN, b"\x05\x00"), True)
    not_der = (x509.UnrecognizedExtension(EXTENSION, b"\x30\x03abc"), False)
    return [
        (
            "forged",
            "mallory signed for alice",
            _certificate(key, [_signed(identity, key, signer=mallory)]),
        ),
        (
            "forged",
            "alice's extension, copied out of her certificate into another",
            _certificate(key, [_signed(identity, other)]),
        ),
        ("prefix", "signed without the prefix", _certificate(key, [_signed(identity, key, b"")])),
        (
            "prefix",
            "signed with the prefix of Noise",
            _certificate(key, [_signed(identity, key, NOISE_PREFIX)]),
        ),
        ("no-extension", "a certificate as the web has them", _certificate(key, [])),
        ("no-extension", "the extension holds no SignedKey", _certificate(key, [not_der])),
        ("own-signature", "not signed by its own key", _certificate(key, [ours], signer=other)),
        ("expired", "it expired yesterday", _certificate(key, [ours], days=(-30, -1))),
        ("not-yet", "it holds from tomorrow on", _certificate(key, [ours], days=(1, 30))),
        ("critical", "an unknown extension that is critical", _certificate(key, [ours, unknown])),
        ("garbage", "bytes that are no certificate", b"\x30\x82\x01\x00" + bytes(256)),
    ]


async def examine_certificate(exam: Exam, answer: Any) -> None:
    """E3.6: the certificates of the spec, of every kind of identity, and eleven that prove nothing."""
    verify = exam.callable_answer(answer, "a function verify_certificate(der, now)")
    for name, text, who in TLS_CERTIFICATES:
        der = bytes.fromhex(text)
        if who:
            _check_believed(exam, verify, f"the spec's {name}", der, who)
        else:
            exam.refuses(verify, der, NOW, rule="forged", problem=f"the spec's {name} was believed")
    for what, der, who in _right_ones(exam):
        _check_believed(exam, verify, what, der, who)
    for rule, what, der in _wrong_ones(exam):
        exam.refuses(verify, der, NOW, rule=rule, problem=f"{what}, and it was believed")
        exam.count("certificates refused")


CERTIFICATE = Check(
    id="03.certificate",
    exercise="E3.6",
    title="A certificate that vouches for itself",
    level="L3",
    points=3,
    objectives=("1.23", "X.5"),
    starter='''\
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from libp2p_lab.security.tls_certificate import SignedKey
# SignedKey.decode(bytes) reads the extension: .identity_key (a protobuf), .signature


def verify_certificate(der, now):
    """The lab.PeerId that a certificate proves; ValueError (or a LabError) if it proves none.

    der: the certificate's bytes; its own key is always on the curve P-256. now: seconds since 1970.
    """
    raise NotImplementedError


await lab.check("03.certificate", verify_certificate)
''',
    hints=(
        "certificate = x509.load_der_x509_certificate(der). Two signatures are in it: by the certificate's own key "
        "over all of it, and by the identity key over the certificate's key. Both must hold.",
        "The extension has the OID 1.3.6.1.4.1.53594.1.1. Its signature is over libp2p-tls-handshake: and the public "
        "key in DER (SubjectPublicKeyInfo). Dates must fit; an unknown extension that is critical refuses the whole "
        "(tls/tls.md, peer authentication).",
        "own = certificate.public_key(); own.verify(certificate.signature, certificate.tbs_certificate_bytes, "
        "ec.ECDSA(certificate.signature_hash_algorithm)); loop over certificate.extensions: .oid.dotted_string, "
        ".critical, .value.value; identity = lab.PublicKey.from_protobuf(signed.identity_key); "
        "identity.verify(b'libp2p-tls-handshake:' + own.public_bytes(Encoding.DER, "
        "PublicFormat.SubjectPublicKeyInfo), signed.signature).",
    ),
    rules=(
        Rule(
            "refuses",
            "This certificate is right. No authority, no name and no fixed place are asked for: look for the extension "
            "by its OID, and compare what is needed, nothing more.",
            AUTHENTICATION,
        ),
        Rule("who", "The peer id is made from the identity key in the extension.", EXTENSION_PAGE),
        Rule(
            "forged",
            "Anybody can copy a public key into an extension. Its signature must hold, by that key, over the key of "
            "this very certificate.",
            EXTENSION_PAGE,
        ),
        Rule(
            "prefix",
            "What is signed begins with libp2p-tls-handshake: so that a signature made for something else is worth "
            "nothing here.",
            EXTENSION_PAGE,
        ),
        Rule(
            "no-extension",
            "Without a readable extension the certificate says nothing about a peer.",
            EXTENSION_PAGE,
        ),
        Rule(
            "own-signature",
            "The certificate must be signed by its own key: that is what self-signed means.",
            AUTHENTICATION,
        ),
        Rule("expired", "A certificate has an end: compare not_valid_after_utc.", AUTHENTICATION),
        Rule(
            "not-yet",
            "A certificate has a beginning: compare not_valid_before_utc.",
            AUTHENTICATION,
        ),
        Rule(
            "critical",
            "Critical means: whoever does not understand this must refuse. Known, and harmless here, are ours and "
            "KeyUsage.",
            AUTHENTICATION,
        ),
        Rule("garbage", "What does not parse is refused: ValueError.", AUTHENTICATION),
    ),
    examine=examine_certificate,
)
