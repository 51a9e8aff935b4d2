"""The parts of the conformance kit. Needs nothing but Python's standard library."""
