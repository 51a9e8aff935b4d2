{{/*
How many pods. With an autoscaler as many as there are: if the number were left out, Kubernetes would make it one until the autoscaler
acts. `helm template` and a first install leave it out.
*/}}
{{- define "cloakroom.replicas" -}}
{{- if not .Values.autoscaling.enabled -}}
{{ .Values.replicas }}
{{- else -}}
{{- with lookup "apps/v1" "Deployment" .Release.Namespace (include "cloakroom.name" .) -}}
{{ max (int .spec.replicas) (int $.Values.autoscaling.minReplicas) }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* How long a pod may take to stop, in seconds. */}}
{{- define "cloakroom.gracePeriod" -}}
{{- add .Values.shutdown.delaySeconds .Values.shutdown.drainSeconds 15 -}}
{{- end }}

{{/* What the restricted Pod Security Standard asks of a pod. */}}
{{- define "cloakroom.podSecurity" -}}
runAsNonRoot: true
{{- with .Values.userId }}
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
{{- end }}
{{- /* Also for the group that OpenShift adds: a change at each start would open the key to the group, and the service refuses that. */}}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* What it asks of a container. */}}
{{- define "cloakroom.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
{{- end }}

{{/* Spreads the pods over the values of each label. During a roll-out the old pods do not count, which Kubernetes can do from 1.27 on. */}}
{{- define "cloakroom.spread" -}}
{{- range .Values.topologyKeys }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "cloakroom.selector" $ | nindent 6 }}
  {{- if semverCompare ">=1.27.0-0" $.Capabilities.KubeVersion.Version }}
  matchLabelKeys:
    - pod-template-hash
  {{- end }}
{{- end }}
{{- end }}
