"""The WSGI server of the standard library, with one thread per request."""

from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class Handler(WSGIRequestHandler):
    def get_environ(self):
        # wsgiref joins several Cookie lines with a comma, but cookies are separated by "; ".
        return super().get_environ() | {"HTTP_COOKIE": "; ".join(self.headers.get_all("Cookie", []))}


def serve(app, port):
    with make_server("127.0.0.1", port, app, Server, Handler) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
