{{/*
Addresses and URLs. Passwords are percent-encoded; urlquery encodes a space as +, which is only valid in the query of a
URL.
*/}}
{{- define "stack.encoded" -}}
{{ . | toString | urlquery | replace "+" "%20" }}
{{- end }}

{{- define "stack.postgresqlHost" -}}
{{ ternary (include "stack.name" (list . "postgresql")) .Values.postgresql.external.host .Values.postgresql.enabled }}
{{- end }}

{{- define "stack.postgresqlPort" -}}
{{ ternary 5432 (int .Values.postgresql.external.port) .Values.postgresql.enabled }}
{{- end }}

{{/* Takes a dict: root, scheme, username, password, database, parameters. */}}
{{- define "stack.postgresqlUrl" -}}
{{- $user := printf "%s:%s" (include "stack.encoded" .username) (include "stack.encoded" .password) -}}
{{- $place := printf "%s:%s" (include "stack.postgresqlHost" .root) (include "stack.postgresqlPort" .root) -}}
{{- printf "%s://%s@%s/%s" .scheme $user $place (include "stack.encoded" .database) -}}
{{- with .parameters }}?{{ . }}{{ end -}}
{{- end }}

{{- define "stack.amqpUrl" -}}
{{- $rabbitmq := .root.Values.rabbitmq -}}
{{- $user := printf "%s:%s" (include "stack.encoded" $rabbitmq.username) (include "stack.encoded" .password) -}}
{{- if $rabbitmq.enabled -}}
amqp://{{ $user }}@{{ include "stack.name" (list .root "rabbitmq") }}:5672/{{ include "stack.encoded" $rabbitmq.vhost }}
{{- else -}}
{{- $external := $rabbitmq.external -}}
{{ ternary "amqps" "amqp" $external.tls }}://{{ $user }}@{{ $external.host }}:{{ int $external.port }}/
{{- include "stack.encoded" $rabbitmq.vhost }}
{{- end -}}
{{- end }}

{{- define "stack.redisUrl" -}}
{{- $redis := .root.Values.redis -}}
{{- $user := ternary (printf ":%s@" (include "stack.encoded" .password)) "" (ne .password "") -}}
{{- if $redis.enabled -}}
redis://{{ $user }}{{ include "stack.name" (list .root "redis") }}:6379/0
{{- else -}}
{{- $external := $redis.external -}}
{{ ternary "rediss" "redis" $external.tls }}://{{ $user }}{{ $external.host }}:{{ int $external.port }}/
{{- int $external.database }}
{{- end -}}
{{- end }}

{{/* The path that Airflow is served under, without a trailing slash. */}}
{{- define "stack.airflowPath" -}}
{{ (urlParse .Values.airflow.config.api.base_url).path | trimSuffix "/" }}
{{- end }}

{{- define "stack.airflowUrl" -}}
{{- if .Values.airflow.enabled -}}
http://{{ include "stack.airflowName" . }}-api-server:{{ int .Values.airflow.ports.apiServer }}{{ include "stack.airflowPath" . }}
{{- else -}}
{{ .Values.externalAirflow.url | trimSuffix "/" }}
{{- end -}}
{{- end }}

{{- define "stack.scheme" -}}
{{ ternary "https" "http" .Values.ingress.tls.enabled }}
{{- end }}

{{- define "stack.airflowPublicUrl" -}}
{{- if not .Values.airflow.enabled -}}
{{ .Values.externalAirflow.publicUrl }}
{{- else if .Values.ingress.enabled -}}
{{ include "stack.scheme" . }}://{{ .Values.ingress.host }}{{ include "stack.airflowPath" . }}
{{- end -}}
{{- end }}
