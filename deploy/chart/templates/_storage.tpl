{{/* The volume `data` of a StatefulSet: a claim, or an emptyDir if persistence is off. */}}
{{- define "stack.ephemeralData" -}}
{{- if not .persistence.enabled -}}
- name: data
  emptyDir:
    sizeLimit: {{ .persistence.size }}
{{- end -}}
{{- end }}

{{- define "stack.persistentData" -}}
{{- $values := index . 2 -}}
{{- if $values.persistence.enabled -}}
volumeClaimTemplates:
  - metadata:
      name: data
      labels:
        {{- include "stack.selector" . | nindent 8 }}
    spec:
      accessModes: [ReadWriteOnce]
      {{- with $values.persistence.storageClass }}
      storageClassName: {{ . }}
      {{- end }}
      resources:
        requests:
          storage: {{ $values.persistence.size }}
{{- end -}}
{{- end }}
