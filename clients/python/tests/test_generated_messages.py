"""The generated messages in the repository match proto/."""

from __future__ import annotations

import pathlib
import subprocess
import sys

from google.protobuf import descriptor_pb2
from service import ROOT

from cloakroom.v1 import session_service_pb2 as pb


def test_the_generated_messages_match_the_proto(tmp_path):
    out = tmp_path / "descriptors"
    source = "cloakroom/v1/session_service.proto"
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", f"--descriptor_set_out={out}", source]
    subprocess.run(protoc, check=True)
    [expected] = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    actual = descriptor_pb2.FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(actual)
    for file in (expected, actual):
        file.ClearField("source_code_info")
        for message in file.message_type:
            for field in message.field:
                field.ClearField("json_name")
            for nested in message.nested_type:
                for field in nested.field:
                    field.ClearField("json_name")
    assert actual == expected, "run `make python-messages`"


def test_the_package_parses_as_python_3_9():
    import ast

    sources = pathlib.Path(pb.__file__).parents[1].rglob("*.py")
    for source in sources:
        ast.parse(source.read_text(), filename=str(source), feature_version=(3, 9))
