{{/*
Writes a table as TOML: dict "path" (the name of the table, or "") and "table".

Its settings come first, then its sub-tables. Helm's own toToml writes whole numbers as 10.0, which the service refuses.
*/}}
{{- define "cloakroom.toml" -}}
{{- $path := .path -}}
{{- $settings := dict -}}
{{- $tables := dict -}}
{{- range $key, $value := .table -}}
{{- if kindIs "map" $value -}}
{{- $_ := set $tables $key $value -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $settings $key $value -}}
{{- end -}}
{{- end -}}
{{- if and $path (or $settings (not $tables)) }}

[{{ $path }}]
{{- end -}}
{{- range $key, $value := $settings }}
{{ include "cloakroom.toml.key" $key }} = {{ include "cloakroom.toml.value" $value }}
{{- end -}}
{{- range $key, $table := $tables -}}
{{- $name := list $path (include "cloakroom.toml.key" $key) | compact | join "." -}}
{{- include "cloakroom.toml" (dict "path" $name "table" $table) -}}
{{- end -}}
{{- end }}

{{- define "cloakroom.toml.key" -}}
{{- regexMatch "^[A-Za-z0-9_-]+$" . | ternary . (toJson .) -}}
{{- end }}

{{/* A string, a number, a boolean or a list of them. What JSON says of these, TOML says too. */}}
{{- define "cloakroom.toml.value" -}}
{{- if kindIs "slice" . -}}
[{{ range $index, $item := . }}{{ if $index }}, {{ end }}{{ include "cloakroom.toml.value" $item }}{{ end }}]
{{- else -}}
{{- toJson . -}}
{{- end -}}
{{- end }}
