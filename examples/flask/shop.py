"""The shop: a login, a cart and flash messages. It does not depend on where sessions are stored."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template_string, request, session, url_for

shop = Blueprint("shop", __name__)

PAGE = """<!doctype html><title>Shop</title>
{% for message in get_flashed_messages() %}<p class="message">{{ message }}</p>{% endfor %}
{% if session.user %}
  <p id="who">Hello, {{ session.user }}</p>
  <form method="post" action="{{ url_for("shop.logout") }}"><button>Log out</button></form>
{% else %}
  <form method="post" action="{{ url_for("shop.login") }}">
    <input name="user" required maxlength="64"><button>Log in</button>
  </form>
{% endif %}
<ul id="cart">{% for item in session.cart or [] %}<li>{{ item }}</li>{% endfor %}</ul>
<form method="post" action="{{ url_for("shop.add") }}">
  <input name="item" required maxlength="64"><button>Put into the cart</button>
</form>
"""


@shop.get("/")
def home() -> str:
    return render_template_string(PAGE)


@shop.get("/health")
def health() -> str:
    return "ok"


@shop.post("/login")
def login():
    cart = session.get("cart")
    # Prevents session fixation: only the cart outlives the login, and Cloakroom also replaces the token.
    session.clear()
    session.permanent = True
    session["user"] = request.form["user"]
    if cart:
        session["cart"] = cart
    flash(f"Welcome, {session['user']}.")
    return redirect(url_for("shop.home"))


@shop.post("/logout")
def logout():
    session.clear()
    flash("You have logged out.")
    return redirect(url_for("shop.home"))


@shop.post("/add")
def add():
    session["cart"] = [*session.get("cart", []), request.form["item"]]
    flash(f"{request.form['item']} is in your cart.")
    return redirect(url_for("shop.home"))
