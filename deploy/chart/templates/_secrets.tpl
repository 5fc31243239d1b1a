{{/*
Names of the secrets: existing ones or the chart's own. The shared one is named by airflow.data.metadataSecretName, because
the Airflow chart takes literal names only.
*/}}
{{- define "stack.postgresqlSecret" -}}
{{ .Values.postgresql.existingSecret | default (include "stack.name" (list . "postgresql")) }}
{{- end }}

{{- define "stack.rabbitmqSecret" -}}
{{ .Values.rabbitmq.existingSecret | default (include "stack.name" (list . "rabbitmq")) }}
{{- end }}

{{- define "stack.redisSecret" -}}
{{ .Values.redis.existingSecret | default (include "stack.name" (list . "redis")) }}
{{- end }}

{{- define "stack.programSecret" -}}
{{ .Values.secrets.existingSecret | default (include "stack.name" (list . "program")) }}
{{- end }}

{{- define "stack.airflowSecret" -}}
{{- if .Values.airflow.enabled -}}
{{ .Values.airflow.data.metadataSecretName }}
{{- else -}}
{{ .Values.externalAirflow.existingSecret | default (include "stack.name" (list . "airflow-user")) }}
{{- end -}}
{{- end }}

{{/* The given value, else the one in the cluster, else a random one. Takes a dict: given, data, key, length. */}}
{{- define "stack.kept" -}}
{{- if .given -}}
{{ .given }}
{{- else if hasKey .data .key -}}
{{ index .data .key | b64dec }}
{{- else -}}
{{ randAlphaNum (int .length) }}
{{- end -}}
{{- end }}

{{/*
Generates all secrets of the chart once per rendering and keeps them in .Values.made, because several secrets share a
password and the checksums must match what is written. Without a cluster (helm template) `lookup` finds nothing, so each
rendering generates new ones.
*/}}
{{- define "stack.makeSecrets" -}}
{{- if not (hasKey .Values "made") -}}
{{- $made := dict -}}
{{- $ns := .Release.Namespace -}}
{{- $postgresql := .Values.postgresql -}}
{{- $kept := (lookup "v1" "Secret" $ns (include "stack.name" (list . "postgresql"))).data | default dict -}}
{{- $password := include "stack.kept"
  (dict "given" $postgresql.password "data" $kept "key" "password" "length" 40) -}}
{{- $forAirflow := include "stack.kept"
  (dict "given" $postgresql.airflowPassword "data" $kept "key" "airflow-password" "length" 40) -}}
{{- $admin := include "stack.kept"
  (dict "given" $postgresql.adminPassword "data" $kept "key" "admin-password" "length" 40) -}}
{{- $databaseUrl := include "stack.postgresqlUrl" (dict
  "root" . "scheme" "postgresql+psycopg" "username" $postgresql.username "password" $password
  "database" $postgresql.database
  "parameters" (ternary "" $postgresql.external.parameters $postgresql.enabled)
) -}}
{{- $airflowUrl := include "stack.postgresqlUrl" (dict
  "root" . "scheme" "postgresql+psycopg2" "username" $postgresql.airflowUsername "password" $forAirflow
  "database" $postgresql.airflowDatabase "parameters" ""
) -}}
{{- if not $postgresql.existingSecret -}}
{{- $all := dict "password" $password "DATABASE_URL" $databaseUrl -}}
{{- if $postgresql.enabled -}}
{{- $all = merge $all (dict "admin-password" $admin "airflow-password" $forAirflow) -}}
{{- end -}}
{{- $_ := set $made (include "stack.postgresqlSecret" .) (dict "part" "postgresql" "data" $all) -}}
{{- end -}}

{{- $kept = (lookup "v1" "Secret" $ns (include "stack.name" (list . "rabbitmq"))).data | default dict -}}
{{- $password = include "stack.kept" (dict "given" .Values.rabbitmq.password "data" $kept "key" "password" "length" 40) -}}
{{- $amqpUrl := include "stack.amqpUrl" (dict "root" . "password" $password) -}}
{{- if not .Values.rabbitmq.existingSecret -}}
{{- $all := dict "password" $password "AMQP_URL" $amqpUrl -}}
{{- $_ := set $made (include "stack.rabbitmqSecret" .) (dict "part" "rabbitmq" "data" $all) -}}
{{- end -}}

{{- if not .Values.redis.existingSecret -}}
{{- $kept = (lookup "v1" "Secret" $ns (include "stack.name" (list . "redis"))).data | default dict -}}
{{- $password = .Values.redis.password -}}
{{- if .Values.redis.enabled -}}
{{- $password = include "stack.kept" (dict "given" $password "data" $kept "key" "password" "length" 40) -}}
{{- end -}}
{{- $redisUrl := include "stack.redisUrl" (dict "root" . "password" $password) -}}
{{- $all := dict "password" $password "REDIS_URL" $redisUrl -}}
{{- $_ := set $made (include "stack.redisSecret" .) (dict "part" "redis" "data" $all) -}}
{{- end -}}

{{- $secrets := .Values.secrets -}}
{{- if not $secrets.existingSecret -}}
{{- $kept = (lookup "v1" "Secret" $ns (include "stack.name" (list . "program"))).data | default dict -}}
{{- $key := include "stack.kept" (dict "given" "" "data" $kept "key" "admin-key" "length" 43) -}}
{{- $key = ternary $key (printf "aw_%s" $key) (hasPrefix "aw_" $key) -}}
{{- $keys := prepend $secrets.apiKeys (printf "chart-admin:admin:sha256-%s" (sha256sum $key)) -}}
{{- $signing := include "stack.kept"
  (dict "given" $secrets.webhookSecret "data" $kept "key" "WEBHOOK_SECRET" "length" 64) -}}
{{- $all := dict "admin-key" $key "API_KEYS" (join "," $keys) "WEBHOOK_SECRET" $signing -}}
{{- with $secrets.stripeSecretKey -}}{{- $_ := set $all "STRIPE_SECRET_KEY" . -}}{{- end -}}
{{- $_ := set $made (include "stack.programSecret" .) (dict "part" "program" "data" $all) -}}
{{- end -}}

{{- if .Values.airflow.enabled -}}
{{- if .Values.airflowSecret.create -}}
{{- $kept = (lookup "v1" "Secret" $ns (include "stack.airflowSecret" .)).data | default dict -}}
{{- $given := .Values.airflowSecret -}}
{{- $all := dict "connection" $airflowUrl "DATABASE_URL" $databaseUrl "AMQP_URL" $amqpUrl -}}
{{- range $name := list "QUEUE_PREFIX" "QUEUE_MAX_MESSAGES" "TASK_PAYLOAD_MAX_BYTES" -}}
{{- if hasKey $.Values.settings $name -}}{{- $_ := set $all $name (include "stack.text" (index $.Values.settings $name)) -}}{{- end -}}
{{- end -}}
{{- $fernet := index $kept "fernet-key" | default "" | b64dec | default (randAlphaNum 32 | b64enc) -}}
{{- $_ := set $all "fernet-key" $fernet -}}
{{- range $key := list "jwt-secret" "api-secret-key" -}}
{{- $_ := set $all $key (include "stack.kept" (dict "given" "" "data" $kept "key" $key "length" 64)) -}}
{{- end -}}
{{- $users := dict "AIRFLOW_PASSWORD" $given.password "ADMIN_PASSWORD" $given.adminPassword -}}
{{- range $key, $value := $users -}}
{{- $_ := set $all $key (include "stack.kept" (dict "given" $value "data" $kept "key" $key "length" 40)) -}}
{{- end -}}
{{- $_ := set $all "AIRFLOW_USERNAME" $given.username -}}
{{- $_ := set $all "ADMIN_USERNAME" $given.adminUsername -}}
{{- $_ := set $made (include "stack.airflowSecret" .) (dict "part" "airflow" "data" $all) -}}
{{- end -}}
{{- else if not .Values.externalAirflow.existingSecret -}}
{{- $given := .Values.externalAirflow -}}
{{- $user := dict "AIRFLOW_USERNAME" $given.username "AIRFLOW_PASSWORD" $given.password -}}
{{- $_ := set $made (include "stack.airflowSecret" .) (dict "part" "airflow" "data" $user) -}}
{{- end -}}
{{- $_ := set .Values "made" $made -}}
{{- end -}}
{{- end }}

{{/* Checksum of the given secrets, as far as the chart generates them. Takes a list: the root, names of secrets. */}}
{{- define "stack.secretsChecksum" -}}
{{- $root := index . 0 -}}
{{- include "stack.makeSecrets" $root -}}
{{- $seen := dict -}}
{{- range rest . -}}
{{- if hasKey $root.Values.made . -}}{{- $_ := set $seen . (index $root.Values.made .) -}}{{- end -}}
{{- end -}}
{{- toJson $seen | sha256sum -}}
{{- end }}
