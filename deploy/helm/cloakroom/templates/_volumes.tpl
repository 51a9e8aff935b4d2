{{/* Where each volume of a pod comes from and is mounted, as YAML: a list under `volumes`. */}}
{{- define "cloakroom.mounts" -}}
{{- $redis := .Values.store.redis -}}
volumes:
  - name: config
    mountPath: /etc/cloakroom
    source:
      configMap:
        name: {{ include "cloakroom.name" . }}
  {{- with .Values.keys.existingSecret }}
  - name: keys
    mountPath: /run/secrets/cloakroom
    source: {{ include "cloakroom.secret" . | nindent 6 }}
  {{- end }}
  {{- with .Values.callers.existingSecret }}
  - name: callers
    mountPath: /run/secrets/cloakroom-callers
    source: {{ include "cloakroom.secret" . | nindent 6 }}
  {{- end }}
  {{- with .Values.tls.existingSecret }}
  - name: tls
    mountPath: /run/secrets/cloakroom-tls
    source: {{ include "cloakroom.secret" . | nindent 6 }}
  {{- end }}
  {{- with include "cloakroom.adminTls" . }}
  - name: admin-tls
    mountPath: /run/secrets/cloakroom-admin-tls
    source: {{ include "cloakroom.secret" . | nindent 6 }}
  {{- end }}
  {{- if eq .Values.store.kind "redis" }}
  {{- with $redis.existingSecret }}
  - name: redis
    mountPath: /run/secrets/cloakroom-redis
    source: {{ include "cloakroom.secretItems" (list . (include "cloakroom.redis.secretItems" $redis)) | nindent 6 }}
  {{- end }}
  {{- with $redis.tls.existingSecret }}
  - name: redis-tls
    mountPath: /run/secrets/cloakroom-redis-tls
    source: {{ include "cloakroom.secretItems" (list . (include "cloakroom.redis.tlsItems" $redis.tls)) | nindent 6 }}
  {{- end }}
  {{- with $redis.sentinel.tls.existingSecret }}
  - name: sentinel-tls
    mountPath: /run/secrets/cloakroom-sentinel-tls
    source: {{ include "cloakroom.secretItems" (list . (include "cloakroom.redis.tlsItems" $redis.sentinel.tls)) | nindent 6 }}
  {{- end }}
  {{- end }}
  {{- range .Values.extraSecrets }}
  - name: extra-{{ . }}
    mountPath: /run/secrets/extra/{{ . }}
    source: {{ include "cloakroom.secret" . | nindent 6 }}
  {{- end }}
  {{- if eq .Values.store.kind "embedded" }}
  - name: data
    mountPath: /data
    source:
      persistentVolumeClaim:
        claimName: {{ .Values.store.embedded.existingClaim | default (include "cloakroom.name" .) }}
  {{- end }}
{{- end }}

{{/* A Secret. `optional` has its default, but older versions of podman fail without it. */}}
{{- define "cloakroom.secret" -}}
secret:
  secretName: {{ . }}
  optional: false
{{- end }}

{{/* A Secret of which only some keys are mounted: a list of its name and the items. */}}
{{- define "cloakroom.secretItems" -}}
secret:
  secretName: {{ first . }}
  optional: false
  items: {{ last . | nindent 4 }}
{{- end }}
