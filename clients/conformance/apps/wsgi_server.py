"""The WSGI server of the standard library, with one thread for each request."""

from __future__ import annotations

import os
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class Handler(WSGIRequestHandler):
    def get_environ(self):
        # wsgiref joins several Cookie lines with a comma, but cookies are separated by "; ".
        return super().get_environ() | {"HTTP_COOKIE": "; ".join(self.headers.get_all("Cookie", []))}

    def log_message(self, format, *arguments):
        pass


def serve(application):
    with make_server("127.0.0.1", int(os.environ["PORT"]), application, Server, Handler) as server:
        server.serve_forever()
