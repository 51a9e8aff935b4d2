# Real Flask, for the differential test of its cookie. By apt comes Python's venv module, where missing.

.PHONY: flask

tools: flask

flask: .tools/flask/installed

.tools/flask/installed: tests/flask/requirements.txt
	@python3 -c 'import ensurepip' || { $(SUDO) apt-get update && $(SUDO) apt-get install --yes --no-install-recommends python3-venv; }
	python3 -m venv --clear .tools/flask
	.tools/flask/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@
