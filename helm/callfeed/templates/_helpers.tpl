{{- /* Names, and the configuration with what a cluster needs. */ -}}

{{- define "callfeed.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 53 | trimSuffix "-" }}
{{- end }}

{{- /* Room is left for `-headless` and for the number of a pod: a label holds 63 characters. */ -}}
{{- define "callfeed.fullname" -}}
{{- $name := include "callfeed.name" . }}
{{- $whole := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- $fullname := .Values.fullnameOverride | default $whole | trunc 50 | trimSuffix "-" }}
{{- if not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" $fullname) }}
{{- printf "fullnameOverride: `%s` cannot be the name of a Service; expected small letters, digits and `-`, a letter first" $fullname | fail }}
{{- end }}
{{- $fullname }}
{{- end }}

{{- define "callfeed.headless" -}}
{{ include "callfeed.fullname" . }}-headless
{{- end }}

{{- define "callfeed.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "callfeed.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "callfeed.image" -}}
{{- with .Values.image }}
{{- $tag := .tag | default $.Chart.AppVersion }}
{{- .digest | empty | ternary (printf "%s:%s" .repository $tag) (printf "%s@%s" .repository .digest) }}
{{- end }}
{{- end }}

{{- /* What all of the release's pods have, `helm test` included. */ -}}
{{- define "callfeed.selector" -}}
app.kubernetes.io/name: {{ include "callfeed.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- /* What the replicas have. */ -}}
{{- define "callfeed.replicas" -}}
{{ include "callfeed.selector" . }}
app.kubernetes.io/component: replica
{{- end }}

{{- define "callfeed.labels" -}}
{{ include "callfeed.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* `config` of the values, and beside it what is needed in a cluster, unless it is set. */ -}}
{{- define "callfeed.config" -}}
{{- $config := deepCopy .Values.config }}
{{- $kafka := $config.kafka }}
{{- $id := $kafka.instance_id }}
{{- if and (kindIs "string" $id) (gt (int .Values.replicas) 1) }}
{{- printf "config.kafka.instance_id: all %d replicas would be `%s`; leave it out, then each has the name of its pod" (int .Values.replicas) $id | fail }}
{{- end }}
{{- if not (hasKey $kafka "instance_id") }}
{{- $_ := set $kafka "instance_id" (dict "env" "POD_NAME") }}
{{- end }}
{{- $admin := $config.admin | default dict }}
{{- if not (hasKey $admin "listen") }}
{{- $_ := set $admin "listen" "0.0.0.0:9464" }}
{{- end }}
{{- $port := include "callfeed.port" $admin.listen }}
{{- if not $port }}
{{- printf "config.admin.listen: expected an address with a port such as `0.0.0.0:9464`, found `%s`" $admin.listen | fail }}
{{- end }}
{{- if regexMatch "^(127\\.|localhost:|\\[::1\\])" $admin.listen }}
{{- printf "config.admin.listen: neither probes nor Prometheus reach `%s`; leave it out, or take `0.0.0.0:9464`" $admin.listen | fail }}
{{- end }}
{{- if not (hasKey $admin "peers") }}
{{- $_ := set $admin "peers" (printf "%s.%s.svc:%s" (include "callfeed.headless" .) .Release.Namespace $port) }}
{{- end }}
{{- $_ := set $config "admin" $admin }}
{{- toYaml $config }}
{{- end }}

{{- /* The port at the end of `host:port`. */ -}}
{{- define "callfeed.port" -}}
{{- regexFind ":[0-9]+$" . | trimPrefix ":" }}
{{- end }}

{{- define "callfeed.adminPort" -}}
{{- include "callfeed.port" (include "callfeed.config" . | fromYaml).admin.listen }}
{{- end }}

{{- /* Of what a pod reads once: the keys that callfeed cannot follow while it runs. All that is said of accounts, and `topics`,
it does follow. */ -}}
{{- define "callfeed.checksum" -}}
{{- $config := omit (include "callfeed.config" . | fromYaml) "accounts" "defaults" "topics" }}
{{- list $config .Values.secrets.values | toJson | sha256sum }}
{{- end }}

{{- define "callfeed.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- /* What a replica and `helm test` have in common: image, security, environment, files. */ -}}
{{- define "callfeed.container" -}}
image: {{ include "callfeed.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
env:
  - name: POD_NAME
    valueFrom: {fieldRef: {fieldPath: metadata.name}}
  {{- range $name, $from := .Values.secrets.env }}
  - name: {{ $name }}
    valueFrom: {secretKeyRef: {name: {{ $from.secret | quote }}, key: {{ $from.key | quote }}}}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- if or .Values.secrets.values .Values.extraEnvFrom }}
envFrom:
  {{- if .Values.secrets.values }}
  - secretRef: {name: {{ include "callfeed.fullname" . }}}
  {{- end }}
  {{- with .Values.extraEnvFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  # A folder and not a single file: only so does a changed ConfigMap reach a running container.
  - name: config
    mountPath: /etc/callfeed
    readOnly: true
  {{- range $name, $_ := .Values.secrets.files }}
  - name: secret-{{ $name }}
    mountPath: /run/secrets/callfeed/{{ $name }}
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "callfeed.volumes" -}}
- name: config
  configMap: {name: {{ include "callfeed.fullname" . }}}
{{- range $name, $from := .Values.secrets.files }}
- name: secret-{{ $name }}
  secret:
    secretName: {{ $from.secret | quote }}
    defaultMode: 0440
    {{- with $from.keys }}
    items:
      {{- range . }}
      - {key: {{ . | quote }}, path: {{ . | quote }}}
      {{- end }}
    {{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Where pods may run, the same for replicas and `helm test`. */ -}}
{{- define "callfeed.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}
