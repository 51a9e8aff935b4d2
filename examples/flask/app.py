"""The shop with its sessions in Cloakroom."""

import os

from flask import Flask
from shop import shop

from cloakroom.flask import CloakroomSessionInterface

app = Flask(__name__)
app.secret_key = os.environ["SECRET_KEY"]
app.session_interface = CloakroomSessionInterface(os.environ.get("CLOAKROOM_ADDRESS", "localhost:50051"), app="shop")
app.register_blueprint(shop)
