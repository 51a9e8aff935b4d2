{{/*
Refuses values that contradict each other, with what to change. values.schema.json refuses what a schema can.
*/}}
{{- define "cloakroom.refuse" -}}
{{- $values := .Values -}}
{{- range $path, $instead := include "cloakroom.decided" . | fromYaml -}}
{{- if include "cloakroom.lookup" (list $values.config (splitList "." $path)) -}}
{{- fail (printf "config.%s: the chart decides it; use %s" $path $instead) -}}
{{- end -}}
{{- end -}}
{{- include "cloakroom.refuseSecrets" (list "config" $values.config) -}}
{{- $apps := list -}}
{{- range $values.keys.apps }}{{ $apps = append $apps .app }}{{ end -}}
{{- include "cloakroom.refuseTwice" (list "keys.apps" $apps) -}}
{{- range $app, $settings := $values.config.apps -}}
{{- if and $values.keys.existingSecret (has $app $apps) (hasKey $settings "keys_file") -}}
{{- fail (printf "config.apps.%s.keys_file: keys.apps names the keys of this app already; take one of the two out" $app) -}}
{{- end -}}
{{- end -}}
{{- $callers := list -}}
{{- $certificateNames := list -}}
{{- range $values.callers.entries -}}
{{- $callers = append $callers .name -}}
{{- $certificateNames = concat $certificateNames (.certificateNames | default list) -}}
{{- if and .hashesKey (not $values.callers.existingSecret) -}}
{{- fail (printf "callers.entries: %s has a hashesKey; name the Secret that has this key in callers.existingSecret" .name) -}}
{{- end -}}
{{- if and .certificateNames (not $values.tls.clientCa) -}}
{{- fail (printf "callers.entries: %s has certificateNames; name the key of the authorities that sign callers' certificates in tls.clientCa" .name) -}}
{{- end -}}
{{- end -}}
{{- include "cloakroom.refuseTwice" (list "callers.entries" $callers) -}}
{{- if and $values.tls.clientCa (not $certificateNames) -}}
{{- fail "tls.clientCa: no caller is known by its certificate; give one certificateNames in callers.entries" -}}
{{- end -}}
{{- if gt (int $values.autoscaling.minReplicas) (int $values.autoscaling.maxReplicas) -}}
{{- fail "autoscaling.minReplicas: it has to be at most autoscaling.maxReplicas" -}}
{{- end -}}
{{- end }}

{{/* The settings that other values decide, and which. */}}
{{- define "cloakroom.decided" -}}
admin.listen: metrics.enabled
admin.tls: metrics.tls
callers: callers.entries
server.listen: service, the port is always 50051
server.tls: tls
server.shutdown_delay: shutdown.delaySeconds
server.drain_timeout: shutdown.drainSeconds
store.kind: store.kind
store.embedded.path: store.embedded
store.embedded.lock_timeout: shutdown, a start waits as long as a pod may take to stop
store.redis.mode: store.redis.mode
store.redis.url: store.redis.addresses
store.redis.url_file: store.redis.urlKey
store.redis.username: store.redis.username
store.redis.password_file: store.redis.passwordKey
store.redis.ca_file: store.redis.tls
store.redis.certificate_file: store.redis.tls
store.redis.key_file: store.redis.tls
store.redis.key_prefix: store.redis.keyPrefix
store.redis.sentinel: store.redis.sentinel
store.redis.cluster: store.redis.addresses
{{- end }}

{{/* Whether a table has a setting: a list of the table and the names that lead to it. */}}
{{- define "cloakroom.lookup" -}}
{{- $table := first . -}}
{{- $names := last . -}}
{{- if and (kindIs "map" $table) (hasKey $table (first $names)) -}}
{{- if eq (len $names) 1 -}}
true
{{- else -}}
{{- include "cloakroom.lookup" (list (get $table (first $names)) (rest $names)) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Refuses what must not be in a ConfigMap: a list of the path of a table and the table. */}}
{{- define "cloakroom.refuseSecrets" -}}
{{- range $name, $value := last . -}}
{{- $path := printf "%s.%s" (first $) $name -}}
{{- if kindIs "map" $value -}}
{{- include "cloakroom.refuseSecrets" (list $path $value) -}}
{{- else if or (has $name (list "keys" "signer_keys")) (and (kindIs "string" $value) (regexMatch "^redis.*@" $value)) -}}
{{- fail (printf "%s: a ConfigMap is no place for secrets; put it into a Secret, name that in keys or extraSecrets, and set %s_file" $path $name) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Refuses names that come twice: a list of the value's path and the names. */}}
{{- define "cloakroom.refuseTwice" -}}
{{- if gt (len (last .)) (len (uniq (last .))) -}}
{{- fail (printf "%s: a name comes twice: %s" (first .) (last . | join ", ")) -}}
{{- end -}}
{{- end }}
