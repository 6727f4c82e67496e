"""IPNS: a name that stays while what it points to changes. The name is a peer id; the record is signed with its key.

    key in the DHT     "/ipns/" and the bytes of the peer id
    record             a protobuf
        data           CBOR: Value, Validity, ValidityType, Sequence, TTL
        signatureV2    over "ipns-signature:" and data
        pubKey         only where the name is too short to hold the key itself (RSA)
        value, …       data once more, for readers of old; must be equal to it

Of two valid records the one with the higher sequence number is the newer; with the same number, the one that is valid
for longer.

Misconception: whoever stores the record can change it. They can only withhold it, or give an older one: so ask several.

Spec: https://specs.ipfs.tech/ipns/ipns-record/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import DecodeError

from libp2p_lab.content.pb import ipns_pb2
from libp2p_lab.errors import LabError, LocalError, MalformedMessage, RecordInvalid
from libp2p_lab.identity.keys import KeyPair, PublicKey
from libp2p_lab.identity.peer_id import PeerId

PREFIX = b"/ipns/"
SIGNED = b"ipns-signature:"
MAX_RECORD = 10 * 1024  # bytes
DEFAULT_TTL = 5 * 60 * 10**9  # nanoseconds
DEFAULT_LIFETIME = 48 * 3600.0  # seconds
END_OF_LIFE = 0  # the one kind of validity: until a moment


@dataclass(frozen=True, slots=True)
class IpnsRecord:
    """What a name points to.

    Attributes:
        value: a path, "/ipfs/bafy…" say.
        sequence: counts up with each change.
        valid_until: Unix time in seconds; not valid from then on.
        ttl: nanoseconds that a reader may keep it without looking again.
        validity: `valid_until` as it stands in the record: RFC 3339 in UTC with nanoseconds. Made of `valid_until`
            if empty.
    """

    value: bytes
    sequence: int
    valid_until: float
    ttl: int = DEFAULT_TTL
    validity: bytes = field(default=b"", compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.sequence < 1 << 64 or not 0 <= self.ttl < 1 << 64:
            raise LocalError("sequence and ttl are unsigned numbers of 64 bits")

    def sign(self, key: KeyPair) -> bytes:
        """The record's bytes, to be stored under `ipns_key` of the key's peer id.

        Raises: `LocalError` if they are more than 10 KiB.
        """
        data = self._data()
        entry = ipns_pb2.IpnsEntry(signatureV2=key.sign(SIGNED + data), data=data)
        if PeerId.from_public_key(key.public).public_key() is None:  # the name is a hash
            entry.pubKey = key.public.to_protobuf()
        encoded = entry.SerializeToString()
        if len(encoded) > MAX_RECORD:
            raise LocalError(f"an IPNS record has at most {MAX_RECORD} bytes, not {len(encoded)}")
        return encoded

    def _data(self) -> bytes:
        import cbor2

        fields = {
            "TTL": self.ttl,
            "Value": self.value,
            "Sequence": self.sequence,
            "Validity": self.validity or _rfc3339(self.valid_until),
            "ValidityType": END_OF_LIFE,
        }
        return cbor2.dumps(fields, canonical=True)

    @classmethod
    def open(cls, encoded: bytes, name: PeerId) -> IpnsRecord:
        """Read a record and verify that the owner of `name` signed it. Whether it is still valid is another question.

        Raises: `MalformedMessage` if it does not parse; `RecordInvalid` if it is not to be believed.
        """
        if len(encoded) > MAX_RECORD:
            raise RecordInvalid(
                f"an IPNS record has at most {MAX_RECORD} bytes, not {len(encoded)}"
            )
        entry = ipns_pb2.IpnsEntry()
        try:
            entry.ParseFromString(encoded)
        except DecodeError as error:
            raise MalformedMessage(f"IPNS record does not parse: {error}") from None
        if not entry.signatureV2 or not entry.data:
            raise RecordInvalid("an IPNS record without a signature of version 2")
        if not _key_of(name, entry.pubKey).verify(SIGNED + entry.data, entry.signatureV2):
            raise RecordInvalid("the signature of the IPNS record is wrong")
        fields = _fields(entry.data)
        record = cls(
            _bytes(fields, "Value"),
            _integer(fields, "Sequence"),
            _unix_time(_bytes(fields, "Validity")),
            _integer(fields, "TTL"),
            _bytes(fields, "Validity"),
        )
        if _integer(fields, "ValidityType") != END_OF_LIFE:
            raise RecordInvalid("an IPNS record with an unknown kind of validity")
        record._compare(entry)
        return record

    def _compare(self, entry: ipns_pb2.IpnsEntry) -> None:
        """What the protobuf says once more, for readers of old, must be what was signed."""
        if not entry.value and not entry.signatureV1:
            return
        again = (entry.value, entry.validity, entry.sequence, entry.ttl)
        if again != (self.value, self.validity, self.sequence, self.ttl):
            raise RecordInvalid("an IPNS record that says one thing and signs another")


class IpnsValidator:
    """The rules of the namespace "ipns".

    Args:
        clock: Unix time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def validate(self, key: bytes, value: bytes) -> None:
        """As `Validator.validate`."""
        try:
            record = IpnsRecord.open(value, PeerId(key.removeprefix(PREFIX)))
        except RecordInvalid:
            raise
        except LabError as error:
            raise RecordInvalid(str(error)) from None
        if self._clock() >= record.valid_until:
            raise RecordInvalid(f"an IPNS record that was valid until {record.validity.decode()}")

    def select(self, key: bytes, values: Sequence[bytes]) -> int:
        """As `Validator.select`: the highest sequence, then the longest validity, then the greater bytes."""
        name = PeerId(key.removeprefix(PREFIX))
        records = [IpnsRecord.open(value, name) for value in values]
        return max(
            range(len(values)),
            key=lambda n: (records[n].sequence, records[n].valid_until, values[n]),
        )


def ipns_key(name: PeerId) -> bytes:
    """The key in the DHT of a name."""
    return PREFIX + name.multihash


def _key_of(name: PeerId, given: bytes) -> PublicKey:
    """The public key of a name: in the name itself, or given and hashing to it."""
    inlined = name.public_key()
    if inlined is not None:
        return inlined
    try:
        key = PublicKey.from_protobuf(given)
    except LabError as error:
        raise RecordInvalid(f"no public key in the IPNS record of a hashed name: {error}") from None
    if PeerId.from_public_key(key) != name:
        raise RecordInvalid("the public key in the IPNS record is not that of its name")
    return key


def _fields(data: bytes) -> dict[str, Any]:
    import cbor2

    try:
        fields = cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, RecursionError, TypeError) as error:
        raise MalformedMessage(f"the data of the IPNS record is not CBOR: {error}") from None
    if not isinstance(fields, dict):
        raise MalformedMessage("the data of an IPNS record is one map")
    return fields


def _bytes(fields: dict[str, Any], name: str) -> bytes:
    value = fields.get(name)
    if not isinstance(value, bytes):
        raise MalformedMessage(f"no {name} in the data of the IPNS record")
    return value


def _integer(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise MalformedMessage(f"{name} of the IPNS record is no unsigned number of 64 bits")
    return value


def _rfc3339(seconds: float) -> bytes:
    whole = int(seconds // 1)
    nanoseconds = int((seconds - whole) * 1e9)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{nanoseconds:09}Z".encode()


def _unix_time(validity: bytes) -> float:
    """Seconds of an RFC 3339 time in UTC; the part below a microsecond counts too."""
    try:
        text = validity.decode("ascii")
        whole, _, fraction = text.removesuffix("Z").partition(".")
        if not text.endswith("Z") or (fraction and not fraction.isdecimal()):
            raise ValueError("not in UTC")
        moment = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise MalformedMessage(f"the validity of the IPNS record is no time: {error}") from None
    return moment.timestamp() + (float(f"0.{fraction}") if fraction else 0.0)
