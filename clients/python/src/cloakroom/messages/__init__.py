"""The messages of the service's RPCs, generated from its proto. `make python-messages` renews them."""
