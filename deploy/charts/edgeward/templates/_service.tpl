{{/*
A Service for traffic. Takes `root`, `name`, `labels`, `annotations`, and `service`: what holds for it.
*/}}
{{- define "edgeward.service" -}}
{{- $service := .service -}}
{{- $root := .root -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  namespace: {{ include "edgeward.namespace" $root }}
  labels:
    {{- include "edgeward.labels" $root | nindent 4 }}
    {{- with .labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .annotations }}
  annotations:
    {{- range $key, $value := . }}
    {{ $key }}: {{ tpl ($value | toString) $root | quote }}
    {{- end }}
  {{- end }}
spec:
  type: {{ $service.type }}
  {{- range $field := list "clusterIP" "clusterIPs" "externalIPs" "loadBalancerIP" "loadBalancerSourceRanges" "loadBalancerClass" "externalTrafficPolicy" "healthCheckNodePort" "sessionAffinity" "trafficDistribution" "ipFamilyPolicy" "ipFamilies" }}
  {{- with get $service $field }}
  {{ $field }}:{{ if kindIs "slice" . }}{{ toYaml . | nindent 4 }}{{ else }} {{ toYaml . }}{{ end }}
  {{- end }}
  {{- end }}
  {{- if hasKey $service "allocateLoadBalancerNodePorts" }}
  allocateLoadBalancerNodePorts: {{ $service.allocateLoadBalancerNodePorts }}
  {{- end }}
  ports:
    {{- range $name, $isOn := dict "http" $service.enableHttp "https" $service.enableHttps }}
    {{- if $isOn }}
    - name: {{ $name }}
      port: {{ get $service.ports $name }}
      protocol: TCP
      targetPort: {{ get $service.targetPorts $name }}
      {{- if $service.appProtocol }}
      appProtocol: {{ $name }}
      {{- end }}
      {{- with get $service.nodePorts $name }}
      nodePort: {{ . }}
      {{- end }}
    {{- end }}
    {{- end }}
  selector:
    {{- include "edgeward.selectorLabels" $root | nindent 4 }}
{{- end -}}
