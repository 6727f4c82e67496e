from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BitswapMessage(_message.Message):
    __slots__ = ("wantlist", "blocks", "payload", "blockPresences", "pendingBytes")
    WANTLIST_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    BLOCKPRESENCES_FIELD_NUMBER: _ClassVar[int]
    PENDINGBYTES_FIELD_NUMBER: _ClassVar[int]
    wantlist: BitswapWantlist
    blocks: _containers.RepeatedScalarFieldContainer[bytes]
    payload: _containers.RepeatedCompositeFieldContainer[BitswapBlock]
    blockPresences: _containers.RepeatedCompositeFieldContainer[BitswapPresence]
    pendingBytes: int
    def __init__(self, wantlist: _Optional[_Union[BitswapWantlist, _Mapping]] = ..., blocks: _Optional[_Iterable[bytes]] = ..., payload: _Optional[_Iterable[_Union[BitswapBlock, _Mapping]]] = ..., blockPresences: _Optional[_Iterable[_Union[BitswapPresence, _Mapping]]] = ..., pendingBytes: _Optional[int] = ...) -> None: ...

class BitswapWantlist(_message.Message):
    __slots__ = ("entries", "full")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    FULL_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[BitswapEntry]
    full: bool
    def __init__(self, entries: _Optional[_Iterable[_Union[BitswapEntry, _Mapping]]] = ..., full: bool = ...) -> None: ...

class BitswapEntry(_message.Message):
    __slots__ = ("block", "priority", "cancel", "wantType", "sendDontHave")
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    WANTTYPE_FIELD_NUMBER: _ClassVar[int]
    SENDDONTHAVE_FIELD_NUMBER: _ClassVar[int]
    block: bytes
    priority: int
    cancel: bool
    wantType: int
    sendDontHave: bool
    def __init__(self, block: _Optional[bytes] = ..., priority: _Optional[int] = ..., cancel: bool = ..., wantType: _Optional[int] = ..., sendDontHave: bool = ...) -> None: ...

class BitswapBlock(_message.Message):
    __slots__ = ("prefix", "data")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    prefix: bytes
    data: bytes
    def __init__(self, prefix: _Optional[bytes] = ..., data: _Optional[bytes] = ...) -> None: ...

class BitswapPresence(_message.Message):
    __slots__ = ("cid", "type")
    CID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    cid: bytes
    type: int
    def __init__(self, cid: _Optional[bytes] = ..., type: _Optional[int] = ...) -> None: ...
