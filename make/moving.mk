# The real Flask and the real Flask-Session, which make what sessions move in from.

MOVING_PACKAGES := flask==3.1.3 flask-session==0.8.0 redis==8.1.0 msgspec==0.22.0
MOVING := .tools/moving/flask-3.1.3-flask-session-0.8.0.installed

.PHONY: moving

tools: moving

moving: $(MOVING)

$(MOVING):
	@$(call apt,python3,python3 python3-venv)
	rm -rf .tools/moving
	python3 -m venv .tools/moving
	.tools/moving/bin/pip install --quiet --disable-pip-version-check $(MOVING_PACKAGES)
	touch $@
