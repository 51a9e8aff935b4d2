"""The page of the applications in Flask and Django."""

from html import escape


def counter_page(session):
    name = session.get("name")
    return f"""<!doctype html><title>Cloakroom</title>
<p id="who">{"Hello, " + escape(name) if name else "not logged in"}</p>
<p>Counter: <output id="count">{session.get("count", 0)}</output></p>
<form method="post" action="/count"><button>Count</button></form>
<form method="post" action="/logout"><button>Log out</button></form>
<form method="post" action="/login"><input name="name" required><button>Log in</button></form>"""
