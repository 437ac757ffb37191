"""Version N of the contract serves N-1 and N+1: nothing that was published changes its meaning on the wire."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from injector.api import mesh_pb2, methods

FROZEN = sorted((Path(__file__).parent / "frozen").glob("*.binpb"))
"""A FileDescriptorProto for each version of the contract that was ever released, by the version's name."""


def today() -> FileDescriptorProto:
    described = FileDescriptorProto()
    mesh_pb2.DESCRIPTOR.CopyToProto(described)
    return described


def read(path: Path) -> FileDescriptorProto:
    return FileDescriptorProto.FromString(path.read_bytes())


def breaks(old: FileDescriptorProto, new: FileDescriptorProto) -> list[str]:
    """Everything in `new` that somebody who speaks `old` would misunderstand; a sentence each."""
    faults = [f"package {old.package} became {new.package}"] if old.package != new.package else []
    return [*faults, *_messages(old, new), *_enums(old, new), *_services(old, new)]


def _messages(old: FileDescriptorProto, new: FileDescriptorProto) -> Iterator[str]:
    theirs = dict(_flat("", list(new.message_type)))
    for name, message in _flat("", list(old.message_type)):
        if name not in theirs:
            yield f"message {name} is gone"
            continue
        fields = {field.number: field for field in theirs[name].field}
        for field in message.field:
            if field.number not in fields:
                yield f"{name}.{field.name} is gone"
                continue
            was, became = _wire(field), _wire(fields[field.number])
            if was != became:
                yield f"{name}.{field.name} ({field.number}) changed from {was} to {became}"


def _flat(prefix: str, messages: list[DescriptorProto]) -> Iterator[tuple[str, DescriptorProto]]:
    for message in messages:
        name = f"{prefix}{message.name}"
        yield name, message
        yield from _flat(f"{name}.", list(message.nested_type))


def _wire(field: FieldDescriptorProto) -> tuple[str, int, int, str, int]:
    """All that decides what a field's bytes mean. The name is none of it, but people read it: it stays too."""
    oneof = field.oneof_index if field.HasField("oneof_index") else -1
    return field.name, field.type, field.label, field.type_name, oneof


def _enums(old: FileDescriptorProto, new: FileDescriptorProto) -> Iterator[str]:
    theirs = {enum.name: {value.number: value.name for value in enum.value} for enum in new.enum_type}
    for enum in old.enum_type:
        for value in enum.value:
            if theirs.get(enum.name, {}).get(value.number) != value.name:
                yield f"{enum.name}.{value.name} ({value.number}) is gone or renamed"


def _services(old: FileDescriptorProto, new: FileDescriptorProto) -> Iterator[str]:
    theirs = {f"{service.name}.{method.name}": method for service in new.service for method in service.method}
    for service in old.service:
        for method in service.method:
            name = f"{service.name}.{method.name}"
            if name not in theirs or theirs[name].SerializeToString() != method.SerializeToString():
                yield f"method {name} is gone or has other messages"


def test_a_released_contract_is_kept() -> None:
    assert FROZEN, "no frozen descriptor: python -m tests.api.freeze VERSION writes one at each release"


@pytest.mark.parametrize("frozen", FROZEN, ids=[path.stem for path in FROZEN])
def test_today_speaks_what_was_released(frozen: Path) -> None:
    assert breaks(read(frozen), today()) == []


def _changed(change: str) -> FileDescriptorProto:
    changed = today()
    messages = {message.name: message for message in changed.message_type}
    match change:
        case "renumbered":
            messages["Endpoint"].field[0].number = 99
        case "retyped":
            messages["Parameters"].field[1].type = FieldDescriptorProto.TYPE_STRING
        case "left its oneof":
            messages["WatchRequest"].field[0].ClearField("oneof_index")
        case "repeated":
            messages["CertifyRequest"].field[0].label = FieldDescriptorProto.LABEL_REPEATED
        case "message gone":
            del changed.message_type[0]
        case "nested field gone":
            del messages["Acknowledge"].nested_type[0].field[1]
        case "enum value renamed":
            changed.enum_type[0].value[1].name = "GOING"
        case "method streams no more":
            changed.service[1].method[0].client_streaming = False
        case "package":
            changed.package = "injector.mesh.v2"
    return changed


@pytest.mark.parametrize(
    "change",
    [
        "renumbered",
        "retyped",
        "left its oneof",
        "repeated",
        "message gone",
        "nested field gone",
        "enum value renamed",
        "method streams no more",
        "package",
    ],
)
def test_the_check_sees_every_kind_of_break(change: str) -> None:
    assert breaks(today(), _changed(change))


def test_an_added_field_is_no_break() -> None:
    grown = today()
    grown.message_type[0].field.add(name="later", number=77, type=FieldDescriptorProto.TYPE_STRING, label=1)
    grown.enum_type[0].value.add(name="LATER", number=9)
    assert breaks(today(), grown) == []


def _response_of(described: FileDescriptorProto) -> Any:
    """WatchResponse, as that version of the contract has it."""
    described.name, described.package = "other.proto", "other"
    for _, message in _flat("", list(described.message_type)):
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace(".injector.mesh.v1.", ".other.")
    del described.service[:]
    pool = DescriptorPool()
    pool.Add(described)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("other.WatchResponse"))


def _grown() -> Any:
    """WatchResponse as a later version may have it: one more member of the oneof."""
    described = today()
    response = next(message for message in described.message_type if message.name == "WatchResponse")
    later = response.field.add(name="later", number=50, type=FieldDescriptorProto.TYPE_STRING, label=1)
    later.oneof_index = 0
    return _response_of(described)


def test_an_unknown_member_of_a_oneof_reads_as_none() -> None:
    bytes_of_tomorrow = _grown()(later="something new").SerializeToString()
    assert mesh_pb2.WatchResponse.FromString(bytes_of_tomorrow).WhichOneof("message") is None


@pytest.mark.parametrize("frozen", FROZEN, ids=[path.stem for path in FROZEN])
def test_who_speaks_what_was_released_hears_of_endpoints_what_it_knows_and_is_heard(frozen: Path) -> None:
    told = mesh_pb2.WatchResponse()
    whole = told.destination.endpoints
    whole.node_local, whole.protocol = True, mesh_pb2.HTTP2
    whole.endpoints.add(zone="zone-a", workload=mesh_pb2.Workload(kind="Deployment", name="web"))
    old = _response_of(read(frozen)).FromString(told.SerializeToString())
    assert (old.destination.endpoints.node_local, old.destination.endpoints.endpoints[0].zone) == (True, "zone-a")
    old.DiscardUnknownFields()
    heard = mesh_pb2.WatchResponse.FromString(old.SerializeToString()).destination.endpoints
    assert (heard.node_local, heard.protocol) == (True, mesh_pb2.UNDECLARED)
    assert not heard.endpoints[0].HasField("workload")


def test_the_methods_have_the_names_of_the_contract() -> None:
    described = {
        f"/{service.full_name}/{method.name}"
        for service in mesh_pb2.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert {methods.CERTIFY, methods.WATCH, methods.REPORT} == described
