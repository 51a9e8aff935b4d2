{{/* The name of all objects. */}}
{{- define "cloakroom.name" -}}
{{- $release := .Release.Name -}}
{{- $made := contains "cloakroom" $release | ternary $release (printf "%s-cloakroom" $release) -}}
{{- .Values.fullnameOverride | default $made | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{/* The labels that select the pods. They never change, because a Deployment cannot change its selector. */}}
{{- define "cloakroom.selector" -}}
app.kubernetes.io/name: cloakroom
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The labels of all objects. */}}
{{- define "cloakroom.labels" -}}
{{ include "cloakroom.selector" . }}
{{ include "cloakroom.origin" . }}
{{- end }}

{{/* The labels that say which chart made an object. */}}
{{- define "cloakroom.origin" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The name and the labels of an object, for its metadata. */}}
{{- define "cloakroom.metadata" -}}
name: {{ include "cloakroom.name" . }}
labels:
  {{- include "cloakroom.labels" . | nindent 2 }}
{{- end }}

{{- define "cloakroom.serviceAccount" -}}
{{- $made := .Values.serviceAccount.create | ternary (include "cloakroom.name" .) "default" -}}
{{- .Values.serviceAccount.name | default $made -}}
{{- end }}

{{- define "cloakroom.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}
