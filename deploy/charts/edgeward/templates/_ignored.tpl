{{/*
The values that were given and have no effect, one a line: names of the chart of ingress-nginx, which has something that
Edgeward has not.
*/}}
{{- define "edgeward.ignored" -}}
{{- $names := dict
    "controller.addHeaders" "use an annotation or the backend"
    "controller.admissionWebhooks" "there is no webhook; `edgeward check` finds the same mistakes, and Events tell of them"
    "controller.allowSnippetAnnotations" "there are no snippets"
    "controller.configMapNamespace" "the ConfigMap is in the namespace of the release; extraArgs.configmap names another one"
    "controller.customTemplate" "there is no template"
    "controller.enableAnnotationValidations" "annotations are always validated"
    "controller.enableMimalloc" "it is about nginx"
    "controller.enableTopologyAwareRouting" "not honoured yet"
    "controller.extraModules" "there are no modules"
    "controller.image.allowPrivilegeEscalation" "always false; containerSecurityContext overrides it"
    "controller.image.chroot" "there is one image"
    "controller.image.digestChroot" "there is one image"
    "controller.image.readOnlyRootFilesystem" "always true; containerSecurityContext overrides it"
    "controller.image.runAsNonRoot" "true but on the host's network with ports below 1024; containerSecurityContext overrides it"
    "controller.keda" "use autoscaling, or make a ScaledObject beside this release"
    "controller.maxmindLicenseKey" "not honoured yet"
    "controller.metrics.service.externalIPs" "the metrics are for inside"
    "controller.metrics.service.externalTrafficPolicy" "the metrics are for inside"
    "controller.metrics.service.loadBalancerIP" "the metrics are for inside"
    "controller.metrics.service.loadBalancerClass" "the metrics are for inside"
    "controller.metrics.service.loadBalancerSourceRanges" "the metrics are for inside"
    "controller.metrics.service.nodePort" "the metrics are for inside"
    "controller.metrics.serviceMonitor.namespaceSelector" "it is the namespace of the release"
    "controller.opentelemetry" "there are no modules"
    "controller.proxySetHeaders" "not honoured yet"
    "controller.service.nodePorts.tcp" "not honoured yet"
    "controller.service.nodePorts.udp" "not honoured yet"
    "controller.tcp" "not honoured yet"
    "controller.udp" "not honoured yet"
    "dhParam" "TLS key exchange is elliptic"
    "portNamePrefix" "it is about tcp and udp"
    "tcp" "not honoured yet"
    "udp" "not honoured yet"
-}}
{{- range $name, $why := $names }}
{{- $at := $.Values }}
{{- range $part := splitList "." $name }}
{{- $at = ternary (get $at $part) "" (kindIs "map" $at) }}
{{- end }}
{{- if $at }}
{{ $name }}: {{ $why }}
{{- end }}
{{- end }}
{{- with omit .Values.defaultBackend "existingService" }}
defaultBackend.{{ keys . | sortAlpha | join ", " }}: none is deployed; defaultBackend.existingService names an existing one
{{- end }}
{{- if has "/wait-shutdown" (dig "preStop" "exec" "command" list .Values.controller.lifecycle) }}
controller.lifecycle.preStop: SIGTERM drains; there is no /wait-shutdown to run
{{- end }}
{{- if eq (dig "httpGet" "path" "" .Values.controller.readinessProbe) .Values.controller.healthCheckPath }}
controller.readinessProbe: {{ .Values.controller.healthCheckPath }} says only that the process lives; ask /readyz
{{- end }}
{{- end -}}
