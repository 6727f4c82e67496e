"""Values in the DHT: what is believed, which of two is better, and where they are kept.

The key begins with a namespace, "/pk/…" say, and each namespace has a validator with two pure functions:

    validate(key, value)      raises if the value must not be believed
    select(key, values)       which of several valid ones is the best; a stable choice

Everybody on the way runs them: who stores a value and who asked for it. So it does not matter that it lies with
strangers.

Spec: kad-dht/README.md#entry-validation
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from libp2p_lab.errors import LabError, LimitExceeded, LocalError, RecordInvalid
from libp2p_lab.identity.keys import PublicKey
from libp2p_lab.identity.peer_id import PeerId
from libp2p_lab.limits import DEFAULT_LIMITS, Limits


class Validator(Protocol):
    """The rules of one namespace."""

    def validate(self, key: bytes, value: bytes) -> None:
        """Raises `RecordInvalid` if `value` must not be believed."""
        ...

    def select(self, key: bytes, values: Sequence[bytes]) -> int:
        """The index of the best of these valid values."""
        ...


class PublicKeyValidator:
    """`/pk/<peer id>`: the public key of a peer, which its name proves."""

    def validate(self, key: bytes, value: bytes) -> None:
        """As `Validator.validate`."""
        try:
            named = PeerId(key.removeprefix(b"/pk/"))
            actual = PeerId.from_public_key(PublicKey.from_protobuf(value))
        except LabError as error:
            raise RecordInvalid(f"not a public key under its peer id: {error}") from None
        if actual != named:
            raise RecordInvalid(f"the key of {actual} under the name of {named}")

    def select(self, key: bytes, values: Sequence[bytes]) -> int:
        """As `Validator.select`: there is one key for a name."""
        return 0


class Namespaces:
    """The validators of one DHT, by namespace.

    Args:
        validators: "pk" -> its validator, and so on. A key of another namespace is refused.
    """

    def __init__(self, validators: Mapping[str, Validator]) -> None:
        self._validators = dict(validators)

    def of(self, key: bytes) -> Validator:
        """The validator for a key.

        Raises: `RecordInvalid` if there is none.
        """
        parts = key.split(b"/", 2)
        if len(parts) == 3 and not parts[0]:
            found = self._validators.get(parts[1].decode("utf-8", "replace"))
            if found is not None:
                return found
        raise RecordInvalid(f"no validator for the key {key[:40]!r}")

    def validate(self, key: bytes, value: bytes) -> None:
        """Raises `RecordInvalid` if `value` must not be believed."""
        try:
            self.of(key).validate(key, value)
        except RecordInvalid:
            raise
        except (LabError, ValueError) as error:
            raise RecordInvalid(str(error)) from None

    def best(self, key: bytes, values: Sequence[bytes]) -> bytes:
        """The best of these valid values."""
        if not values:
            raise LocalError("there is no best of nothing")
        return values[self.of(key).select(key, values)]


@dataclass(frozen=True, slots=True)
class StoredValue:
    """A value, and when it came.

    Attributes:
        value: the bytes.
        received_at: seconds, on the store's clock.
    """

    value: bytes
    received_at: float


class ValueStore:
    """Values that we keep for others: bounded, and forgotten after a while.

    Args:
        namespaces: what is believed.
        clock: the time, in seconds.
        limits: how much is kept.
    """

    def __init__(
        self,
        namespaces: Namespaces,
        clock: Callable[[], float],
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._namespaces = namespaces
        self._clock = clock
        self._limits = limits
        self._values: OrderedDict[bytes, StoredValue] = OrderedDict()  # the latest last

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: bytes) -> StoredValue | None:
        """The value under `key`, if it is there and not too old."""
        held = self._values.get(key)
        if held is None or self._clock() - held.received_at >= self._limits.dht_value_ttl:
            self._values.pop(key, None)
            return None
        return held

    def put(self, key: bytes, value: bytes) -> StoredValue:
        """Keep `value`, if it is valid and better than what is there.

        Returns: what is kept now.

        Raises: `RecordInvalid` if it is not to be believed; `LimitExceeded` if it is too long, or the store is full.
        """
        size = len(key) + len(value)
        if size > self._limits.dht_value:
            raise LimitExceeded("dht_value", size, self._limits.dht_value)
        self._namespaces.validate(key, value)
        held = self.get(key)
        if held is not None and self._namespaces.best(key, [value, held.value]) != value:
            raise RecordInvalid("an older value than the one that is stored")
        self._forget_old()
        if held is None and len(self._values) >= self._limits.dht_values:
            raise LimitExceeded("dht_values", len(self._values) + 1, self._limits.dht_values)
        stored = StoredValue(value, self._clock())
        self._values.pop(key, None)
        self._values[key] = stored
        return stored

    def _forget_old(self) -> None:
        now = self._clock()
        while self._values:
            key, oldest = next(iter(self._values.items()))
            if now - oldest.received_at < self._limits.dht_value_ttl:
                return
            del self._values[key]
