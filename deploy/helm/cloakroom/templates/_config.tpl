{{/*
The configuration: what the chart decides, over what `config` says. As YAML, for fromYaml.

The names of settings are those of deploy/cloakroom.toml.
*/}}
{{- define "cloakroom.config" -}}
{{- $server := dict "listen" "0.0.0.0:50051" -}}
{{- $_ := set $server "shutdown_delay" (printf "%ds" (int .Values.shutdown.delaySeconds)) -}}
{{- $_ := set $server "drain_timeout" (printf "%ds" (int .Values.shutdown.drainSeconds)) -}}
{{- $admin := dict "listen" (.Values.metrics.enabled | ternary "0.0.0.0:50052" "127.0.0.1:50052") -}}
{{- with .Values.tls -}}
{{- if .existingSecret -}}
{{- $_ := set $server "tls" (include "cloakroom.tls" "/run/secrets/cloakroom-tls" | fromYaml) -}}
{{- with .clientCa }}{{ $_ := set $server.tls "client_ca_file" (printf "/run/secrets/cloakroom-tls/%s" .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if include "cloakroom.adminTls" . -}}
{{- $_ := set $admin "tls" (include "cloakroom.tls" "/run/secrets/cloakroom-admin-tls" | fromYaml) -}}
{{- end -}}
{{- $callers := dict -}}
{{- range .Values.callers.entries -}}
{{- $_ := set $callers .name (include "cloakroom.caller" . | fromYaml) -}}
{{- end -}}
{{- $apps := dict -}}
{{- if .Values.keys.existingSecret -}}
{{- range .Values.keys.apps -}}
{{- $_ := set $apps .app (dict "keys_file" (printf "/run/secrets/cloakroom/%s" .key)) -}}
{{- end -}}
{{- end -}}
{{- $store := dict "kind" .Values.store.kind -}}
{{- if eq .Values.store.kind "embedded" -}}
{{- /* The new pod starts while a deleted one still stops. */ -}}
{{- $_ := set $store "embedded" (dict "path" "/data" "lock_timeout" (printf "%ss" (include "cloakroom.gracePeriod" .))) -}}
{{- else if eq .Values.store.kind "redis" -}}
{{- $_ := set $store "redis" (include "cloakroom.redis" .Values.store.redis | fromYaml) -}}
{{- end -}}
{{- $decided := dict "server" $server "admin" $admin "callers" $callers "apps" $apps "store" $store -}}
{{- mergeOverwrite (deepCopy .Values.config) $decided | toYaml -}}
{{- end }}

{{- define "cloakroom.tls" -}}
certificate_file: {{ . }}/tls.crt
key_file: {{ . }}/tls.key
{{- end }}

{{/* The Secret of the certificate of the admin port, if it has one. */}}
{{- define "cloakroom.adminTls" -}}
{{- with .Values.metrics }}{{ if .enabled }}{{ .tls.existingSecret }}{{ end }}{{ end -}}
{{- end }}

{{- define "cloakroom.caller" -}}
roles: {{ toJson .roles }}
{{- with .apps }}
apps: {{ toJson . }}
{{- end }}
{{- with .hashesKey }}
token_hashes_file: /run/secrets/cloakroom-callers/{{ . }}
{{- end }}
{{- with .tokenHashes }}
token_hashes: {{ toJson . }}
{{- end }}
{{- with .certificateNames }}
certificate_names: {{ toJson . }}
{{- end }}
{{- end }}

{{/* The settings that a running pod does not load: a change of them replaces the pods. */}}
{{- define "cloakroom.fixedConfig" -}}
{{- omit (include "cloakroom.config" . | fromYaml) "apps" "callers" "reload" | toJson -}}
{{- end }}
