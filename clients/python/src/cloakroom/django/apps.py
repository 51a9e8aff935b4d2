"""The Django app: it adds the system checks."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks

from .checks import check_settings


class CloakroomConfig(AppConfig):  # type: ignore[misc, unused-ignore]
    name = "cloakroom.django"
    label = "cloakroom"
    verbose_name = "Cloakroom"

    def ready(self) -> None:
        checks.register(check_settings, "security")
