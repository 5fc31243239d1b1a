{{/* Settings common to all pods. Takes a dict: root, uid, gid. */}}
{{- define "stack.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
serviceAccountName: {{ include "stack.name" (list .root "stack") }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .uid }}
  runAsGroup: {{ .gid }}
  fsGroup: {{ .gid }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "stack.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* Takes a list: the root, the part's name, its values. */}}
{{- define "stack.scheduling" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "stack.selector" (list $root (index . 1)) | nindent 8 }}
{{- end }}

{{/* Takes a list: the variable's name, the secret's name, whether it is optional. */}}
{{- define "stack.fromSecret" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 0 }}
      {{- if gt (len .) 2 }}
      optional: true
      {{- end }}
{{- end }}

{{/*
Environment of a program: the shared settings from a ConfigMap, and only the secrets that it needs. Takes a dict: root,
needs (a list of words), env (a list).
*/}}
{{- define "stack.environment" -}}
{{- $root := .root -}}
envFrom:
  - configMapRef:
      name: {{ include "stack.name" (list $root "settings") }}
env:
  {{- if has "database" .needs }}
  {{- include "stack.fromSecret" (list "DATABASE_URL" (include "stack.postgresqlSecret" $root)) | nindent 2 }}
  {{- $database := include "stack.postgresqlSecret" $root }}
  {{- include "stack.fromSecret" (list "DATABASE_DIRECT_URL" $database true) | nindent 2 }}
  {{- end }}
  {{- if has "engine" .needs }}
  - name: PROCESS_ENGINE
    value: airflow
  {{- end }}
  {{- if has "broker" .needs }}
  {{- include "stack.fromSecret" (list "AMQP_URL" (include "stack.rabbitmqSecret" $root)) | nindent 2 }}
  {{- end }}
  {{- if has "redis" .needs }}
  {{- include "stack.fromSecret" (list "REDIS_URL" (include "stack.redisSecret" $root)) | nindent 2 }}
  {{- end }}
  {{- if has "airflow" .needs }}
  - name: AIRFLOW_URL
    value: {{ include "stack.airflowUrl" $root | quote }}
  {{- end }}
  {{- if has "airflow-user" .needs }}
  {{- include "stack.fromSecret" (list "AIRFLOW_USERNAME" (include "stack.airflowSecret" $root)) | nindent 2 }}
  {{- include "stack.fromSecret" (list "AIRFLOW_PASSWORD" (include "stack.airflowSecret" $root)) | nindent 2 }}
  {{- end }}
  {{- if has "keys" .needs }}
  {{- include "stack.fromSecret" (list "API_KEYS" (include "stack.programSecret" $root)) | nindent 2 }}
  {{- end }}
  {{- if has "signing" .needs }}
  {{- include "stack.fromSecret" (list "WEBHOOK_SECRET" (include "stack.programSecret" $root)) | nindent 2 }}
  {{- end }}
  {{- if has "stripe" .needs }}
  {{- include "stack.fromSecret" (list "STRIPE_SECRET_KEY" (include "stack.programSecret" $root) true) | nindent 2 }}
  {{- end }}
  {{- range .env }}
  - name: {{ .name }}
    value: {{ include "stack.text" .value | quote }}
  {{- end }}
{{- end }}

{{/* Checksum of the secrets that a program needs. Takes a dict: root, needs. */}}
{{- define "stack.needsChecksum" -}}
{{- $names := list .root -}}
{{- if has "database" .needs -}}{{- $names = append $names (include "stack.postgresqlSecret" .root) -}}{{- end -}}
{{- if has "broker" .needs -}}{{- $names = append $names (include "stack.rabbitmqSecret" .root) -}}{{- end -}}
{{- if has "redis" .needs -}}{{- $names = append $names (include "stack.redisSecret" .root) -}}{{- end -}}
{{- if has "airflow-user" .needs -}}{{- $names = append $names (include "stack.airflowSecret" .root) -}}{{- end -}}
{{- if or (has "keys" .needs) (has "signing" .needs) -}}
{{- $names = append $names (include "stack.programSecret" .root) -}}
{{- end -}}
{{ include "stack.secretsChecksum" $names }}
{{- end }}

{{/* A value as text. Helm parses numbers in files as floats and would print a million as 1e+06. */}}
{{- define "stack.text" -}}
{{- if kindIs "float64" . -}}{{ int64 . }}{{- else -}}{{ . }}{{- end -}}
{{- end }}

{{/*
Max duration of a shutdown: settings.longest_stop_seconds, 10 s for the server to stop its processes, 5 s for preStop and a
margin of 5 s. Takes a list: the settings of all programs, those of this one.
*/}}
{{- define "stack.graceSeconds" -}}
{{- $default := dict "WAIT_SECONDS" 10 "TASK_STOP_SECONDS" 10 "STOP_SECONDS" 20 -}}
{{- $settings := merge (dict) (index . 1) (index . 0) $default -}}
{{ add $settings.WAIT_SECONDS $settings.TASK_STOP_SECONDS $settings.STOP_SECONDS 10 5 5 }}
{{- end }}

{{/*
Waits up to five minutes for the database and migrates its schema, because at an install no hook could do it before the
pods start. Safe to run in many pods at once. Takes a dict: root, needs, env.
*/}}
{{- define "stack.prepareDatabase" -}}
{{- $root := .root -}}
- name: prepare-database
  image: {{ include "stack.image" $root }}
  imagePullPolicy: {{ $root.Values.image.pullPolicy }}
  command:
    - sh
    - -c
    - |
      tries=0
      until python init_db.py --schema-only; do
        tries=$((tries + 1))
        [ "$tries" -lt 60 ] || exit 1
        sleep 5
      done
  {{- include "stack.environment" . | nindent 2 }}
  {{- include "stack.containerSecurity" $root | nindent 2 }}
  resources:
    {{- toYaml $root.Values.migration.resources | nindent 4 }}
  volumeMounts:
    {{- include "stack.programMounts" $root | nindent 4 }}
{{- end }}

{{- define "stack.programMounts" -}}
- name: tmp
  mountPath: /tmp
- name: data
  mountPath: /data
{{- end }}

{{/* Temporary volumes: with PostgreSQL a program stores no lasting data in DATA_DIR. */}}
{{- define "stack.programVolumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: {{ .Values.temporaryStorage }}
- name: data
  emptyDir:
    sizeLimit: 16Mi
{{- end }}

{{/*
Deployment of a program. Takes a dict: root, part, values, command, port (its name), number, ready (a path), needs, env,
scaled (whether a HorizontalPodAutoscaler sets the replicas).
*/}}
{{- define "stack.deployment" -}}
{{- $root := .root -}}
{{- $own := list -}}
{{- range $name, $value := .values.settings -}}
{{- $own = append $own (dict "name" $name "value" $value) -}}
{{- end -}}
{{- $environment := dict "root" $root "needs" .needs "env" (concat .env $own) -}}
apiVersion: apps/v1
kind: Deployment
{{ include "stack.metadata" (list $root .part) }}
spec:
  {{- if not .scaled }}
  replicas: {{ .values.replicas }}
  {{- end }}
  revisionHistoryLimit: 3
  strategy:
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  selector:
    matchLabels:
      {{- include "stack.selector" (list $root .part) | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "stack.labels" (list $root .part) | nindent 8 }}
        {{- with .values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        checksum/settings: {{ include "stack.settings" $root | sha256sum }}
        checksum/secrets: {{ include "stack.needsChecksum" (dict "root" $root "needs" .needs) }}
        {{- with .values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "stack.podSecurity" (dict "root" $root "uid" 10001 "gid" 10001) | nindent 6 }}
      terminationGracePeriodSeconds: {{ include "stack.graceSeconds" (list $root.Values.settings .values.settings) }}
      {{- include "stack.scheduling" (list $root .part .values) | nindent 6 }}
      {{- if has "database" .needs }}
      initContainers:
        {{- include "stack.prepareDatabase" $environment | nindent 8 }}
      {{- end }}
      containers:
        - name: {{ .part }}
          image: {{ include "stack.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          command:
            {{- toYaml .command | nindent 12 }}
          {{- with .values.args }}
          args:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- include "stack.environment" $environment | nindent 10 }}
          ports:
            - name: {{ .port }}
              containerPort: {{ .number }}
          startupProbe:
            httpGet:
              path: /health
              port: {{ .port }}
            periodSeconds: 2
            timeoutSeconds: 5
            failureThreshold: 60
          readinessProbe:
            httpGet:
              path: {{ .ready }}
              port: {{ .port }}
            periodSeconds: 5
            timeoutSeconds: 5
          # 200 even if a dependency is unavailable, because a restart would not help; 503 if the process is stuck.
          livenessProbe:
            httpGet:
              path: /health
              port: {{ .port }}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          lifecycle:
            preStop:
              exec:
                # Give endpoints and ingress time to stop routing requests to this pod.
                command: [sleep, "5"]
          {{- include "stack.containerSecurity" $root | nindent 10 }}
          resources:
            {{- toYaml .values.resources | nindent 12 }}
          volumeMounts:
            {{- include "stack.programMounts" $root | nindent 12 }}
      volumes:
        {{- include "stack.programVolumes" $root | nindent 8 }}
{{- end }}
