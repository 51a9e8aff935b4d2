"""The generated messages in the repository match proto/."""

from __future__ import annotations

import ast
import pathlib
import subprocess
import sys

import pytest
from google.protobuf import descriptor_pb2
from service import ROOT

from cloakroom.messages import admin_service_pb2, session_service_pb2


@pytest.mark.parametrize("messages", [session_service_pb2, admin_service_pb2])
def test_the_generated_messages_match_the_proto(tmp_path, messages):
    out, source = tmp_path / "descriptors", messages.DESCRIPTOR.name
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", f"--descriptor_set_out={out}", source]
    subprocess.run(protoc, check=True)
    [expected] = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    actual = descriptor_pb2.FileDescriptorProto()
    messages.DESCRIPTOR.CopyToProto(actual)
    for file in (expected, actual):
        file.ClearField("source_code_info")
        for message in file.message_type:
            for field in message.field:
                field.ClearField("json_name")
            for nested in message.nested_type:
                for field in nested.field:
                    field.ClearField("json_name")
    assert actual == expected, "run `make python-messages`"


def test_an_application_can_have_messages_of_its_own_beside_the_package(tmp_path):
    """It has generated them from an older proto, by the same names."""
    source = ROOT / "proto/cloakroom/v1/session_service.proto"
    older = tmp_path / "proto/cloakroom/v1/session_service.proto"
    older.parent.mkdir(parents=True)
    older.write_text(source.read_text().replace("bool keep_empty =", "bool keep_void ="))
    assert older.read_text() != source.read_text()
    arguments = [f"-I{tmp_path / 'proto'}", f"--python_out={tmp_path}", "cloakroom/v1/session_service.proto"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *arguments], check=True)
    program = (
        "import cloakroom.flask\n"
        "from cloakroom.v1 import session_service_pb2 as own\n"
        "from cloakroom.messages import session_service_pb2 as ours\n"
        "print(hasattr(own.SaveSessionRequest(), 'keep_void'), hasattr(ours.SaveSessionRequest(), 'keep_void'))\n"
    )
    for path in ([str(tmp_path), *sys.path], [*sys.path, str(tmp_path)]):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": ":".join(filter(None, path))},
            capture_output=True,
            text=True,
        )
        assert (done.stdout, done.stderr) == ("True False\n", "")


def test_the_package_parses_as_python_3_9():
    sources = pathlib.Path(session_service_pb2.__file__).parents[1].rglob("*.py")
    for source in sources:
        ast.parse(source.read_text(), filename=str(source), feature_version=(3, 9))


def test_the_import_of_the_package_loads_no_messages():
    """They take most of the time, and many commands of an application make no call."""
    program = (
        "import sys, cloakroom.flask, cloakroom.wsgi\n"
        "loaded = [name for name in sys.modules if name.startswith('google.protobuf')]\n"
        "cloakroom.Client('localhost:50051')\n"
        "print(loaded, 'google.protobuf' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[] True\n", "")


@pytest.mark.parametrize("name", ["admin_service_pb2", "session_service_pb2"])
def test_messages_can_be_loaded_in_any_order(name):
    done = subprocess.run(
        [sys.executable, "-c", f"from cloakroom.messages import {name}; print(len({name}.DESCRIPTOR.name) > 0)"],
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
