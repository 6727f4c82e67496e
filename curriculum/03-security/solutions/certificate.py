"""E3.6, the reference answer."""

from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import libp2p_lab as lab
from libp2p_lab.security.tls_certificate import SignedKey

OURS = "1.3.6.1.4.1.53594.1.1"
HARMLESS = {OURS, x509.KeyUsage.oid.dotted_string}


def verify_certificate(der, now):
    """The lab.PeerId that a certificate proves; ValueError if it proves none."""
    certificate = x509.load_der_x509_certificate(der)
    moment = datetime.fromtimestamp(now, UTC)
    if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
        raise ValueError("not now")
    signed = None
    for extension in certificate.extensions:
        if extension.critical and extension.oid.dotted_string not in HARMLESS:
            raise ValueError("critical, and not understood")
        if extension.oid.dotted_string == OURS:
            signed = SignedKey.decode(extension.value.value)
    if signed is None:
        raise ValueError("no libp2p extension")
    own = certificate.public_key()
    try:
        algorithm = ec.ECDSA(certificate.signature_hash_algorithm)
        own.verify(certificate.signature, certificate.tbs_certificate_bytes, algorithm)
    except InvalidSignature:
        raise ValueError("not signed by its own key") from None
    identity = lab.PublicKey.from_protobuf(signed.identity_key)
    info = own.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if not identity.verify(b"libp2p-tls-handshake:" + info, signed.signature):
        raise ValueError("the identity key did not sign this")
    return lab.PeerId.from_public_key(identity)


answer = verify_certificate
