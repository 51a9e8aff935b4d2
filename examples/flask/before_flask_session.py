"""The shop with its sessions in Redis, by Flask-Session."""

import os

from flask import Flask
from flask_session import Session
from redis import Redis
from shop import shop

app = Flask(__name__)
app.secret_key = os.environ["SECRET_KEY"]
app.config.update(SESSION_TYPE="redis", SESSION_REDIS=Redis.from_url(os.environ["REDIS_URL"]))
Session(app)
app.register_blueprint(shop)
