{{/*
The question of a probe: "live" (whether the process lives, whatever its store does) or "readable" (whether it can read sessions, even
if its store takes no writes); dict "root" and "what".

Probes ask the admin port, which has a thread and connections of its own, so that no load of the frontends makes them fail. They do
not read the configuration: while a wrong one is refused, the old one stays in force, and the pods have to go on. Kubernetes checks no
certificate, so a certificate that has expired fails no probe.
*/}}
{{- define "cloakroom.probe" -}}
{{- if include "cloakroom.adminTls" .root -}}
httpGet:
  path: {{ eq .what "live" | ternary "/healthz" "/readablez" }}
  port: admin
  scheme: HTTPS
{{- else -}}
exec:
  command: {{ concat (list "/cloakroom" "healthcheck" "--address" "127.0.0.1:50052") (list (printf "--%s" .what)) | toJson }}
{{- end -}}
{{- end }}
