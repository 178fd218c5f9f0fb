{{/*
What holds where a value is null, as YAML. Everything else asks this rather than the values.
*/}}
{{- define "edgeward.settings" -}}
{{- $controller := .Values.controller -}}
{{- $bareMetal := $controller.bareMetal -}}
{{- $hostNetwork := ternary $controller.hostNetwork $bareMetal.enabled (kindIs "bool" $controller.hostNetwork) -}}
{{- $kind := $controller.kind | default (ternary "DaemonSet" "Deployment" $bareMetal.enabled) -}}
{{- $publishesService := and $bareMetal.enabled (eq $bareMetal.publish "service") -}}
{{- $hasService := ternary $controller.service.enabled (or (not $hostNetwork) $publishesService) (kindIs "bool" $controller.service.enabled) -}}
{{- $ports := list (int $controller.containerPort.http) (int $controller.containerPort.https) -}}
{{- $hasLowPort := or (lt (index $ports 0) 1024) (lt (index $ports 1) 1024) -}}
{{- $isAlone := or (eq $kind "DaemonSet") $hostNetwork $controller.hostPort.enabled -}}
{{- $stop := int64 $controller.terminationGracePeriodSeconds -}}
{{- $grace := min 15 (div $stop 2) -}}
{{- if not (kindIs "invalid" $controller.shutdownGracePeriodSeconds) }}{{ $grace = int64 $controller.shutdownGracePeriodSeconds }}{{ end -}}
kind: {{ $kind }}
hostNetwork: {{ $hostNetwork }}
hasService: {{ $hasService }}
hasExternalService: {{ and $hasService $controller.service.external.enabled }}
hasInternalService: {{ and $hasService $controller.service.internal.enabled }}
dnsPolicy: {{ $controller.dnsPolicy | default (ternary "ClusterFirstWithHostNet" "ClusterFirst" $hostNetwork) }}
priorityClassName: {{ $controller.priorityClassName | default (ternary "system-cluster-critical" "" $bareMetal.enabled) | quote }}
minReadySeconds: {{ if kindIs "invalid" $controller.minReadySeconds }}{{ ternary 10 0 $bareMetal.enabled }}{{ else }}{{ int $controller.minReadySeconds }}{{ end }}
shutdownGracePeriodSeconds: {{ $grace }}
drainTimeoutSeconds: {{ if kindIs "invalid" $controller.drainTimeoutSeconds }}{{ max 0 (sub $stop (add $grace 5)) }}{{ else }}{{ int64 $controller.drainTimeoutSeconds }}{{ end }}
drainOnCordon: {{ ternary $bareMetal.drainOnCordon $bareMetal.enabled (kindIs "bool" $bareMetal.drainOnCordon) }}
nodeSelector:
  {{- toYaml (ternary (merge (dict) $controller.nodeSelector $bareMetal.nodeSelector) $controller.nodeSelector $bareMetal.enabled) | nindent 2 }}
# As root without any capability but the one to listen on low ports: on the host's network the sysctl of a pod is refused,
# and a capability given to another user does not reach its process without a privileged helper.
isRoot: {{ and $hostNetwork $hasLowPort }}
sysctls:
  {{- toYaml (merge (dict) $controller.sysctls (ternary (dict "net.ipv4.ip_unprivileged_port_start" "0") (dict) (and $hasLowPort (not $hostNetwork)))) | nindent 2 }}
updateStrategy:
  {{- if $controller.updateStrategy }}
  {{- toYaml $controller.updateStrategy | nindent 2 }}
  {{- else if $isAlone }}
  type: RollingUpdate
  rollingUpdate:
    maxSurge: 0
    maxUnavailable: 1
  {{- else }} {}
  {{- end }}
ingressClass: {{ ternary "nginx" $controller.ingressClass .Values.takeover.ingressNginx | quote }}
controllerClass: {{ ternary "k8s.io/ingress-nginx" $controller.ingressClassResource.controllerValue .Values.takeover.ingressNginx }}
namespaces:
  {{- if $controller.scope.enabled }}
  {{- $scope := $controller.scope.namespace | default (include "edgeward.namespace" .) }}
  {{- toYaml (ternary $scope (splitList "," ($scope | toString | nospace)) (kindIs "slice" $scope)) | nindent 2 }}
  {{- else }} []
  {{- end }}
{{- end -}}

{{/*
The flags of `edgeward serve` as a mapping, those of controller.extraArgs over those of the chart. The rights follow from
them too, so that a flag that is set by hand has what it needs.
*/}}
{{- define "edgeward.flags" -}}
{{- $controller := .Values.controller -}}
{{- $bareMetal := $controller.bareMetal -}}
{{- $settings := fromYaml (include "edgeward.settings" .) -}}
{{- $namespace := include "edgeward.namespace" . -}}
{{- $name := include "edgeward.controller.fullname" . -}}
{{- $flags := dict
    "configmap" (printf "%s/%s" $namespace $name)
    "ingress-class" $settings.ingressClass
    "controller-class" $settings.controllerClass
    "watch-ingress-without-class" $controller.watchIngressWithoutClass
    "http-port" (int $controller.containerPort.http)
    "https-port" (int $controller.containerPort.https)
    "healthz-port" (int $controller.metrics.port)
    "shutdown-grace-period" (printf "%ds" (int $settings.shutdownGracePeriodSeconds))
    "drain-timeout" (printf "%ds" (int $settings.drainTimeoutSeconds))
-}}
{{- if $controller.disableLeaderElection -}}
{{- $_ := set $flags "disable-leader-election" true -}}
{{- else -}}
{{- $_ := set $flags "election-id" ($controller.electionID | default (printf "%s-leader" (include "edgeward.fullname" .))) -}}
{{- end -}}
{{- with $controller.electionTTL }}{{ $_ := set $flags "election-ttl" . }}{{ end -}}
{{- if $controller.ingressClassByName }}{{ $_ := set $flags "ingress-class-by-name" true }}{{ end -}}
{{- if $controller.reportNodeInternalIp }}{{ $_ := set $flags "report-node-internal-ip-address" true }}{{ end -}}
{{- if $controller.scope.enabled -}}
{{- $_ := set $flags "watch-namespace" (join "," $settings.namespaces) -}}
{{- else if $controller.scope.namespaceSelector -}}
{{- $_ := set $flags "watch-namespace-selector" $controller.scope.namespaceSelector -}}
{{- end -}}
{{- $service := $controller.publishService.pathOverride | default (printf "%s/%s%s" $namespace $name (ternary "" "-internal" $settings.hasExternalService)) -}}
{{- if not $bareMetal.enabled -}}
{{- if and $controller.publishService.enabled (or $settings.hasExternalService $settings.hasInternalService $controller.publishService.pathOverride) -}}
{{- $_ := set $flags "publish-service" $service -}}
{{- end -}}
{{- else if eq $bareMetal.publish "service" -}}
{{- $_ := set $flags "publish-service" $service -}}
{{- else if eq $bareMetal.publish "address" -}}
{{- $_ := set $flags "publish-status-address" (join "," $bareMetal.addresses) -}}
{{- end -}}
{{- if $settings.drainOnCordon }}{{ $_ := set $flags "drain-on-cordon" true }}{{ end -}}
{{- if $bareMetal.proxyProtocol.enabled -}}
{{- $_ := set $flags "use-proxy-protocol" true -}}
{{- $_ := set $flags "proxy-protocol-trusted" (join "," $bareMetal.proxyProtocol.trustedCIDRs) -}}
{{- end -}}
{{- if ne $controller.healthCheckPath "/healthz" }}{{ $_ := set $flags "health-check-path" $controller.healthCheckPath }}{{ end -}}
{{- with $controller.healthCheckHost }}{{ $_ := set $flags "healthz-host" . }}{{ end -}}
{{- with $controller.sessionTickets.existingSecret -}}
{{- $_ := set $flags "tls-session-ticket-secret" (ternary . (printf "%s/%s" $namespace .) (contains "/" .)) -}}
{{- end -}}
{{- if $controller.state.enabled -}}
{{- $_ := set $flags "state-dir" "/var/lib/edgeward" -}}
{{- if $controller.state.existingSecret }}{{ $_ := set $flags "state-key-file" "/etc/edgeward/state/state.key" }}{{ end -}}
{{- end -}}
{{- with .Values.defaultBackend.existingService -}}
{{- $_ := set $flags "default-backend-service" (ternary . (printf "%s/%s" $namespace .) (contains "/" .)) -}}
{{- end -}}
{{- /* What is given wins over where it would be looked up. */ -}}
{{- if hasKey $controller.extraArgs "publish-status-address" }}{{ $_ := unset $flags "publish-service" }}{{ end -}}
{{- range $flag, $value := $controller.extraArgs }}{{ $_ := set $flags $flag $value }}{{ end -}}
{{- range $flag, $value := $flags }}
{{- /* Whole numbers of values are floats, which would be written with an exponent. */ -}}
{{- if kindIs "float64" $value }}{{ if eq $value (floor $value) }}{{ $value = int64 $value }}{{ end }}{{ end }}
{{ $flag }}: {{ ternary "" (toString $value) (kindIs "invalid" $value) | quote }}
{{- end -}}
{{- end -}}

{{/*
Contradictions, in the words of the values.
*/}}
{{- define "edgeward.validate" -}}
{{- $controller := .Values.controller -}}
{{- $bareMetal := $controller.bareMetal -}}
{{- $settings := fromYaml (include "edgeward.settings" .) -}}
{{- $rights := fromYaml (include "edgeward.rights" .) -}}
{{- if and .Values.rbac.scope (not $controller.scope.enabled) -}}
{{- fail "rbac.scope needs controller.scope.enabled: Roles give rights in the namespaces that are watched" -}}
{{- end -}}
{{- if and .Values.rbac.scope $rights.drain -}}
{{- fail "controller.bareMetal.drainOnCordon needs to watch Nodes, which a Role cannot give: set it to false, or rbac.scope to false" -}}
{{- end -}}
{{- if and .Values.rbac.scope $rights.nodes -}}
{{- fail "the addresses of Nodes cannot be read with Roles: set controller.bareMetal.publish to address or service, controller.publishService.enabled to true, or rbac.scope to false" -}}
{{- end -}}
{{- if and $bareMetal.enabled (eq $bareMetal.publish "address") (not $bareMetal.addresses) (not (hasKey $controller.extraArgs "publish-status-address")) -}}
{{- fail "controller.bareMetal.publish: address needs controller.bareMetal.addresses" -}}
{{- end -}}
{{- if and $bareMetal.proxyProtocol.enabled (not $bareMetal.proxyProtocol.trustedCIDRs) -}}
{{- fail "controller.bareMetal.proxyProtocol.enabled needs trustedCIDRs: the networks of the load balancers that send the PROXY protocol" -}}
{{- end -}}
{{- if and (eq (get $controller.config "use-proxy-protocol" | toString) "true") (not $bareMetal.proxyProtocol.enabled) -}}
{{- fail "controller.config.use-proxy-protocol: set controller.bareMetal.proxyProtocol.enabled and trustedCIDRs instead; Edgeward must know whom to believe" -}}
{{- end -}}
{{- $stop := add (int $settings.shutdownGracePeriodSeconds) (int $settings.drainTimeoutSeconds) -}}
{{- $isByHand := or (hasKey $controller.extraArgs "drain-timeout") (hasKey $controller.extraArgs "shutdown-grace-period") -}}
{{- if and (not $isByHand) (gt $stop (int64 $controller.terminationGracePeriodSeconds)) -}}
{{- fail (printf "controller.shutdownGracePeriodSeconds and drainTimeoutSeconds do not fit into terminationGracePeriodSeconds (%d): requests under way would be cut" (int $controller.terminationGracePeriodSeconds)) -}}
{{- end -}}
{{- if contains "ingress-nginx/controller" (include "edgeward.image" .) -}}
{{- fail (printf "the image is %s: leave controller.image out of values for ingress-nginx, and global.image too where it names a registry without Edgeward" (include "edgeward.image" .)) -}}
{{- end -}}
{{- end -}}
