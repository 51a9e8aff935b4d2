"""The shop with its sessions in Flask's own signed cookies."""

import os

from flask import Flask
from shop import shop

app = Flask(__name__)
app.secret_key = os.environ["SECRET_KEY"]
app.register_blueprint(shop)
