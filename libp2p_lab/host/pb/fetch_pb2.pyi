from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FetchRequest(_message.Message):
    __slots__ = ("identifier",)
    IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    identifier: bytes
    def __init__(self, identifier: _Optional[bytes] = ...) -> None: ...

class FetchResponse(_message.Message):
    __slots__ = ("status", "data")
    class StatusCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OK: _ClassVar[FetchResponse.StatusCode]
        NOT_FOUND: _ClassVar[FetchResponse.StatusCode]
        ERROR: _ClassVar[FetchResponse.StatusCode]
    OK: FetchResponse.StatusCode
    NOT_FOUND: FetchResponse.StatusCode
    ERROR: FetchResponse.StatusCode
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    status: FetchResponse.StatusCode
    data: bytes
    def __init__(self, status: _Optional[_Union[FetchResponse.StatusCode, str]] = ..., data: _Optional[bytes] = ...) -> None: ...
