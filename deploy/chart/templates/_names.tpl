{{/*
Names and labels. A name is the release name, cut to 40 characters so that a StatefulSet's pods have valid labels, and the
part's name. Each takes a list: the root, the part's name.
*/}}
{{- define "stack.name" -}}
{{- $root := index . 0 -}}
{{- printf "%s-%s" ($root.Release.Name | trunc 40 | trimSuffix "-") (index . 1) -}}
{{- end }}

{{- define "stack.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: afterwrite
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "stack.labels" -}}
{{- $root := index . 0 -}}
{{ include "stack.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: afterwrite
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end }}

{{- define "stack.metadata" -}}
{{- $root := index . 0 -}}
metadata:
  name: {{ include "stack.name" . }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "stack.labels" . | nindent 4 }}
{{- end }}

{{- define "stack.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* Names of the Airflow chart's objects, by its own rule for useStandardNaming. */}}
{{- define "stack.airflowName" -}}
{{- $airflow := .Values.airflow -}}
{{- $own := $airflow.nameOverride | default "airflow" -}}
{{- if not $airflow.useStandardNaming -}}
{{ .Release.Name }}
{{- else if $airflow.fullnameOverride -}}
{{ $airflow.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $own .Release.Name -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $own | trunc 63 | trimSuffix "-" }}
{{- end -}}
{{- end }}
