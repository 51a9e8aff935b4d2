"""What the user sees."""

import html
import json


def view(entries, counter=None):
    name, count = entries.get("name"), entries.get("count")
    counter = counter or (count.json if count else "0")
    return page(f"""<p id="who">{f"Hello, {html.escape(json.loads(name.json))}" if name else "not logged in"}</p>
<p>Counter: <output id="count">{counter}</output></p>
{button("/count", "Count")}
{button("/logout", "Log out")}
{button("/login", "Log in", '<input name="name" required maxlength="64">')}""")


def ended():
    return page(f'<p id="who">This session has ended.</p>{button("/logout", "Start afresh")}')


def message(text):
    return page(f'<p id="who">{text}</p>')


def page(body):
    return f"<!doctype html><title>Cloakroom</title>\n{body}\n"


def button(path, label, fields=""):
    return f'<form method="post" action="{path}">{fields}<button>{label}</button></form>'
