"""The shop with its sessions in Cloakroom, and the page of a user's devices."""

from app import app
from devices import devices

app.register_blueprint(devices)
