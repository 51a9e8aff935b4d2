"""The application of `examples/flask`, with the kit's route beside its own."""

from __future__ import annotations

from app import app
from flask_operations import add_operations
from wsgi_server import serve

add_operations(app)

serve(app)
