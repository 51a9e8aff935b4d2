"""Serves an ASGI application by Hypercorn."""

from __future__ import annotations

import asyncio
import os

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config


def serve(application):
    config = Config()
    config.bind = [f"127.0.0.1:{os.environ['PORT']}"]
    config.keep_alive_timeout = 600
    asyncio.run(hypercorn_serve(application, config))
