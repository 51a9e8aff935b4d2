{{/* The table [store.redis]. The argument is `store.redis` of the values. */}}
{{- define "cloakroom.redis" -}}
{{- $scheme := .tls.enabled | ternary "rediss" "redis" -}}
mode: {{ .mode }}
key_prefix: {{ .keyPrefix | quote }}
{{- if .urlKey }}
url_file: /run/secrets/cloakroom-redis/url
{{- else if eq .mode "standalone" }}
url: {{ printf "%s://%s/%d" $scheme (first .addresses) (int .database) }}
{{- else if eq .mode "cluster" }}
url: {{ printf "%s://%s" $scheme (first .addresses) }}
cluster:
  nodes: {{ rest .addresses | toJson }}
{{- else }}
# The Sentinels name the host.
url: {{ printf "%s://sentinel/%d" $scheme (int .database) }}
sentinel:
  service_name: {{ .sentinel.serviceName | quote }}
  urls:
    {{- range .addresses }}
    - {{ printf "%s://%s" ($.sentinel.tls.enabled | ternary "rediss" "redis") . }}
    {{- end }}
  {{- include "cloakroom.redis.login" (dict "of" .sentinel "name" "sentinel") | nindent 2 }}
{{- end }}
{{ include "cloakroom.redis.login" (dict "of" . "name" "redis") }}
{{- end }}

{{/* User, password and certificates: dict "of" (Redis or its Sentinels) and "name" (what files and folders are called by). */}}
{{- define "cloakroom.redis.login" -}}
{{- $folder := printf "/run/secrets/cloakroom-%s-tls" .name -}}
{{- with .of.username }}
username: {{ . | quote }}
{{- end }}
{{- if .of.passwordKey }}
password_file: /run/secrets/cloakroom-redis/{{ .name }}-password
{{- end }}
{{- with .of.tls.ca }}
ca_file: {{ $folder }}/ca.crt
{{- end }}
{{- with .of.tls.certificate }}
certificate_file: {{ $folder }}/tls.crt
key_file: {{ $folder }}/tls.key
{{- end }}
{{- end }}

{{/* The volume of the login of Redis and of its Sentinels. */}}
{{- define "cloakroom.redis.secretItems" -}}
{{- with .urlKey }}
- key: {{ . }}
  path: url
{{- end }}
{{- with .passwordKey }}
- key: {{ . }}
  path: redis-password
{{- end }}
{{- with .sentinel.passwordKey }}
- key: {{ . }}
  path: sentinel-password
{{- end }}
{{- end }}

{{/* The volume of the certificates. The argument is a table `tls` of the values. */}}
{{- define "cloakroom.redis.tlsItems" -}}
{{- with .ca }}
- key: {{ . }}
  path: ca.crt
{{- end }}
{{- with .certificate }}
- key: {{ . }}
  path: tls.crt
{{- end }}
{{- with .privateKey }}
- key: {{ . }}
  path: tls.key
{{- end }}
{{- end }}

{{/* The ports of the addresses and those that the policy names, each once, as a list of numbers. */}}
{{- define "cloakroom.redis.ports" -}}
{{- $ports := list -}}
{{- range .Values.store.redis.addresses }}{{ $ports = append $ports (regexFind "[0-9]+$" . | int) }}{{ end -}}
{{- range .Values.networkPolicy.redis.ports }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- $ports | uniq | toJson -}}
{{- end }}
