"""Random delays and turns, which differ between processes however they were forked."""

from __future__ import annotations

import random

#: Of the system: a child that was forked in C has the state of its parent's generator, as all its siblings do.
RANDOM = random.SystemRandom()
