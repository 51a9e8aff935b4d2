"""Flask, by `cloakroom.flask`.

KIT_TRANSPORT=grpc replaces the transport, KIT_PLAIN_JSON=1 the codec.
"""

from __future__ import annotations

import os

from cloakroom.flask import CloakroomSessionInterface, JsonCodec
from flask import Flask
from flask_operations import add_operations
from wsgi_server import serve


def service():
    address = os.environ["CLOAKROOM_ADDRESS"]
    if os.environ.get("KIT_TRANSPORT") != "grpc":
        return address
    from cloakroom.grpc_transport import GrpcTransport

    return GrpcTransport(address)


app = Flask(__name__)
app.session_interface = CloakroomSessionInterface(
    service(),
    app=os.environ["CLOAKROOM_APP"],
    deadline=float(os.environ["CLOAKROOM_DEADLINE"]),
    codec=JsonCodec() if os.environ.get("KIT_PLAIN_JSON") == "1" else None,
)
add_operations(app)

serve(app)
