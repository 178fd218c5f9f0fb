{{- define "edgeward.pod" -}}
{{- $controller := .Values.controller -}}
{{- $settings := fromYaml (include "edgeward.settings" .) -}}
metadata:
  # None that differ between versions: pods with the labels of this one are its replicas, also during an update.
  labels:
    {{- include "edgeward.selectorLabels" . | nindent 4 }}
    {{- with merge (dict) $controller.podLabels $controller.labels .Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $controller.podAnnotations }}
  annotations:
    {{- range $key, $value := . }}
    {{ $key }}: {{ $value | quote }}
    {{- end }}
  {{- end }}
spec:
  serviceAccountName: {{ include "edgeward.serviceAccountName" . }}
  automountServiceAccountToken: {{ .Values.serviceAccount.automountServiceAccountToken }}
  # Otherwise a Service `edgeward-http` in this namespace would set EDGEWARD_HTTP_PORT, which is an option.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $controller.terminationGracePeriodSeconds }}
  dnsPolicy: {{ $settings.dnsPolicy }}
  {{- with $controller.dnsConfig }}
  dnsConfig:{{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $controller.hostAliases }}
  hostAliases:{{ tpl (toYaml .) $ | nindent 4 }}
  {{- end }}
  {{- with $controller.hostname }}
  hostname: {{ . }}
  {{- end }}
  {{- if $settings.hostNetwork }}
  hostNetwork: true
  {{- end }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:{{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $settings.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $controller.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- with $settings.nodeSelector }}
  nodeSelector:{{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $controller.tolerations }}
  tolerations:{{ toYaml . | nindent 4 }}
  {{- end }}
  {{- with $controller.affinity }}
  affinity:{{ tpl (toYaml .) $ | nindent 4 }}
  {{- end }}
  {{- with $controller.topologySpreadConstraints }}
  topologySpreadConstraints:{{ tpl (toYaml .) $ | nindent 4 }}
  {{- end }}
  {{- with $controller.shareProcessNamespace }}
  shareProcessNamespace: {{ . }}
  {{- end }}
  securityContext:
    seccompProfile:{{ toYaml $controller.image.seccompProfile | nindent 6 }}
    {{- /* So that it can write the volume, and read the key. */ -}}
    {{- $group := ternary (dict "fsGroup" $controller.image.runAsGroup) dict (and $controller.state.enabled (not $settings.isRoot)) }}
    {{- with merge (dict) $controller.podSecurityContext $group }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with $settings.sysctls }}
    sysctls:
      {{- range $name, $value := . }}
      - name: {{ $name }}
        value: {{ $value | quote }}
      {{- end }}
    {{- end }}
  {{- with $controller.extraInitContainers }}
  initContainers:{{ tpl (toYaml .) $ | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ $controller.containerName }}
      image: {{ include "edgeward.image" . }}
      imagePullPolicy: {{ $controller.image.pullPolicy }}
      args:
        - serve
        - --source=kubernetes
        {{- range $flag, $value := fromYaml (include "edgeward.flags" .) }}
        - {{ ternary (printf "--%s" $flag) (printf "--%s=%s" $flag $value) (eq $value "") | quote }}
        {{- end }}
      env:
        - name: POD_NAME
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        - name: POD_NAMESPACE
          valueFrom:
            fieldRef:
              fieldPath: metadata.namespace
        - name: NODE_NAME
          valueFrom:
            fieldRef:
              fieldPath: spec.nodeName
        {{- with $controller.extraEnvs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        {{- range $name, $port := $controller.containerPort }}
        - name: {{ $name }}
          containerPort: {{ $port }}
          protocol: TCP
          {{- if and $controller.hostPort.enabled (not $settings.hostNetwork) }}
          hostPort: {{ get $controller.hostPort.ports $name | default $port }}
          {{- end }}
        {{- end }}
        - name: metrics
          containerPort: {{ $controller.metrics.port }}
          protocol: TCP
      {{- with $controller.startupProbe }}
      startupProbe:{{ toYaml . | nindent 8 }}
      {{- end }}
      {{- with $controller.livenessProbe }}
      livenessProbe:{{ toYaml . | nindent 8 }}
      {{- end }}
      {{- with $controller.readinessProbe }}
      readinessProbe:{{ toYaml . | nindent 8 }}
      {{- end }}
      {{- $command := dig "preStop" "exec" "command" list $controller.lifecycle }}
      {{- if and $controller.lifecycle (not (has "/wait-shutdown" $command)) }}
      lifecycle:{{ toYaml $controller.lifecycle | nindent 8 }}
      {{- end }}
      securityContext:
        {{- if $controller.containerSecurityContext }}
        {{- toYaml $controller.containerSecurityContext | nindent 8 }}
        {{- else }}
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        {{- if $settings.isRoot }}
        # A pod on the host's network may not set the sysctl that lets every user listen on ports below 1024, and without
        # privilege escalation a capability is of use to user 0 only. This is root that can do nothing else. With
        # controller.containerPort from 1024 on it is not needed.
        runAsUser: 0
        runAsGroup: 0
        runAsNonRoot: false
        capabilities:
          drop: [ALL]
          add: [NET_BIND_SERVICE]
        {{- else }}
        runAsUser: {{ $controller.image.runAsUser }}
        runAsGroup: {{ $controller.image.runAsGroup }}
        runAsNonRoot: true
        capabilities:
          drop: [ALL]
        {{- end }}
        {{- end }}
      {{- with $controller.resources }}
      resources:{{ toYaml . | nindent 8 }}
      {{- end }}
      {{- with $controller.resizePolicy }}
      resizePolicy:{{ toYaml . | nindent 8 }}
      {{- end }}
      {{- if or $controller.state.enabled $controller.extraVolumeMounts }}
      volumeMounts:
        {{- if $controller.state.enabled }}
        - name: state
          mountPath: /var/lib/edgeward
        {{- with $controller.state.existingSecret }}
        - name: state-key
          mountPath: /etc/edgeward/state
          readOnly: true
        {{- end }}
        {{- end }}
        {{- with $controller.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
    {{- with $controller.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- if or $controller.state.enabled $controller.extraVolumes }}
  volumes:
    {{- if $controller.state.enabled }}
    - name: state
      {{- if $controller.state.hostPath }}
      hostPath:
        path: {{ $controller.state.hostPath }}
        type: DirectoryOrCreate
      {{- else }}
      emptyDir: {}
      {{- end }}
    {{- with $controller.state.existingSecret }}
    - name: state-key
      secret:
        secretName: {{ . }}
        defaultMode: 0440
    {{- end }}
    {{- end }}
    {{- with $controller.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
{{- end -}}
