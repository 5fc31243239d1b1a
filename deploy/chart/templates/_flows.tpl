{{/* Parts of NetworkPolicies. Takes a list: the root, the part's name. */}}
{{- define "stack.flowPods" -}}
- podSelector:
    matchLabels:
      {{- include "stack.selector" . | nindent 6 }}
{{- end }}

{{/* Pods of the Airflow chart. Takes a list: the root, then values of their label `component`. */}}
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

{{/* Egress rules to a part or its external replacement. Takes a list: the root, the part, its port in the chart. */}}
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

{{/* Egress to callback URLs and Stripe: all but private addresses, which the program itself also refuses to call. */}}
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

{{/* DNS, to any address: a node cache (NodeLocal DNS) is not a pod that a selector could match. */}}
{{- define "stack.flowNames" -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- end }}
