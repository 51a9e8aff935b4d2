"""The HTML pages."""

import html
import json


def counter_page(entries, counter=None):
    name, count = entries.get("name"), entries.get("count")
    counter = counter or (count.json if count else "0")
    return page(f"""<p id="who">{f"Hello, {html.escape(json.loads(name.json))}" if name else "not logged in"}</p>
<p>Counter: <output id="count">{counter}</output></p>
{form_button("/count", "Count")}
{form_button("/logout", "Log out")}
{form_button("/login", "Log in", '<input name="name" required maxlength="64">')}""")


def session_ended_page():
    return page(f'<p id="who">This session has ended.</p>{form_button("/logout", "Start a new session")}')


def two_sessions_page():
    return page(f'<p id="who">Your browser sent the cookies of two sessions.</p>{form_button("/logout", "End both")}')


def message_page(text):
    return page(f'<p id="who">{text}</p>')


def page(body):
    return f"<!doctype html><title>Cloakroom</title>\n{body}\n"


def form_button(path, label, fields=""):
    return f'<form method="post" action="{path}">{fields}<button>{label}</button></form>'
