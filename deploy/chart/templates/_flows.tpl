{{/* Pieces of NetworkPolicies. A list: the root, the part's name. */}}
{{- define "stack.flowPods" -}}
- podSelector:
    matchLabels:
      {{- include "stack.selector" . | nindent 6 }}
{{- end }}

{{/* Pods of the Airflow chart. A list: the root, then the words in their label `component`. */}}
{{- define "stack.flowAirflowPods" -}}
{{- $root := index . 0 -}}
{{- range rest . }}
- podSelector:
    matchLabels:
      tier: airflow
      release: {{ $root.Release.Name }}
      component: {{ . }}
{{- end -}}
{{- end }}

{{/* Rules of egress to one part, or to what takes its place outside. A list: the root, the part, its port here. */}}
{{- define "stack.flowTo" -}}
{{- $root := index . 0 -}}
{{- $values := index $root.Values (index . 1) -}}
- to:
    {{- if $values.enabled }}
    {{- include "stack.flowPods" (list $root (index . 1)) | nindent 4 }}
    {{- else }}
    {{- range $values.external.cidrs }}
    - ipBlock:
        cidr: {{ . | quote }}
    {{- end }}
    {{- end }}
  ports:
    - port: {{ ternary (index . 2) (int $values.external.port) $values.enabled }}
{{- end }}

{{- define "stack.flowToAirflow" -}}
- to:
    {{- if .Values.airflow.enabled }}
    {{- include "stack.flowAirflowPods" (list . "api-server") | nindent 4 }}
    {{- else }}
    {{- range .Values.externalAirflow.cidrs }}
    - ipBlock:
        cidr: {{ . | quote }}
    {{- end }}
    {{- end }}
  ports:
    - port: {{ include "stack.airflowPort" . }}
{{- end }}

{{- define "stack.airflowPort" -}}
{{- $url := urlParse (include "stack.airflowUrl" .) -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{ $port | default (ternary "443" "80" (eq $url.scheme "https")) }}
{{- end }}

{{/* Callback URLs and Stripe: everything but private addresses, of which the program itself refuses the calling, too. */}}
{{- define "stack.flowToInternet" -}}
- to:
    {{- range .Values.networkPolicy.internet }}
    - ipBlock:
        {{- toYaml . | nindent 8 }}
    {{- end }}
{{- end }}

{{- define "stack.flowToKubernetes" -}}
- to:
    {{- range .Values.networkPolicy.kubernetesApi.cidrs }}
    - ipBlock:
        cidr: {{ . | quote }}
    {{- end }}
  ports:
    {{- range .Values.networkPolicy.kubernetesApi.ports }}
    - port: {{ int . }}
    {{- end }}
{{- end }}

{{- define "stack.flowMetrics" -}}
{{- with .Values.networkPolicy.metricsFrom }}
- from:
    {{- toYaml . | nindent 4 }}
  ports:
    - port: 9100
{{- end }}
{{- end }}

{{/* To anywhere: a cache of the node (NodeLocal DNS) is no pod that could be named. */}}
{{- define "stack.flowNames" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- end }}
