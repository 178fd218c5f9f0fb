{{/*
Which rights the flags ask for, as YAML.
*/}}
{{- define "edgeward.rights" -}}
{{- $flags := fromYaml (include "edgeward.flags" .) -}}
{{- $isOn := dict -}}
{{- range $flag := list "update-status" "drain-on-cordon" "disable-leader-election" "watch-config-maps" -}}
{{- /* A flag without value is true, as on the command line. */ -}}
{{- $value := ternary (get $flags $flag) (eq $flag "update-status" | toString) (hasKey $flags $flag) -}}
{{- $_ := set $isOn $flag (has (lower $value) (list "true" "t" "1" "")) -}}
{{- end -}}
status: {{ index $isOn "update-status" }}
drain: {{ index $isOn "drain-on-cordon" }}
election: {{ not (index $isOn "disable-leader-election") }}
nodes: {{ and (index $isOn "update-status") (not (get $flags "publish-status-address")) (not (get $flags "publish-service")) }}
configMaps: {{ index $isOn "watch-config-maps" }}
namespaces: {{ not (empty (get $flags "watch-namespace-selector")) }}
{{- end -}}

{{/*
Rules for what is watched in namespaces: all of them, or each of those that are watched.
*/}}
{{- define "edgeward.rules" -}}
{{- $rights := fromYaml (include "edgeward.rights" .) -}}
# Routes. `get` is for the identity of an Ingress that an Event is about.
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch]
{{- if $rights.status }}
# The addresses that `kubectl get ingress` shows.
- apiGroups: [networking.k8s.io]
  resources: [ingresses/status]
  verbs: [patch]
{{- end }}
# Ports of backends, and names of ExternalName Services.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch]
# Addresses of backends.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
# Certificates. Only those that an Ingress names are used, but the API server cannot be asked for these alone.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch]
{{- if $rights.configMaps }}
# Headers that annotations and settings name.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch]
{{- end }}
# What is wrong with an object, for `kubectl describe`.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}

{{/*
Rules for what belongs to no namespace.
*/}}
{{- define "edgeward.clusterRules" -}}
{{- $rights := fromYaml (include "edgeward.rights" .) -}}
# Which classes are served here.
- apiGroups: [networking.k8s.io]
  resources: [ingressclasses]
  verbs: [list, watch]
{{- if or $rights.nodes $rights.drain }}
# {{ if $rights.nodes }}The addresses in the status of Ingresses{{ if $rights.drain }}, and whether the own node is cordoned{{ end }}{{ else }}Whether the own node is cordoned{{ end }}.
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
{{- end }}
{{- if $rights.namespaces }}
# The labels that controller.scope.namespaceSelector is about.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [list, watch]
{{- end }}
{{- end -}}

{{/*
Rules for what matters in one namespace only: of the release, or of an object that a flag names. Takes `root` and
`namespace`; empty where there are none.
*/}}
{{- define "edgeward.singleRules" -}}
{{- $rights := fromYaml (include "edgeward.rights" .root) -}}
{{- $flags := fromYaml (include "edgeward.flags" .root) -}}
{{- $namespace := .namespace -}}
{{- $named := dict -}}
{{- range $flag := list "configmap" "publish-service" "default-backend-service" "default-ssl-certificate" "tls-session-ticket-secret" -}}
{{- $reference := splitList "/" (get $flags $flag | default "") -}}
{{- if and (eq (len $reference) 2) (eq (index $reference 0) $namespace) -}}
{{- $_ := set $named $flag (index $reference 1) -}}
{{- end -}}
{{- end -}}
{{- with get $named "configmap" }}
# The global settings.
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [{{ . }}]
  verbs: [list, watch]
{{- end }}
{{- if and .root.Values.rbac.scope (not (has $namespace (splitList "," (get $flags "watch-namespace")))) }}
{{- with get $named "publish-service" }}
# The addresses in the status of Ingresses.
- apiGroups: [""]
  resources: [services]
  resourceNames: [{{ . }}]
  verbs: [list, watch]
{{- end }}
{{- with get $named "default-backend-service" }}
# What answers where no rule does.
- apiGroups: [""]
  resources: [services]
  resourceNames: [{{ . }}]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
{{- end }}
{{- with get $named "default-ssl-certificate" }}
# The certificate for names without one.
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ . }}]
  verbs: [get, list, watch]
{{- end }}
{{- with get $named "tls-session-ticket-secret" }}
# What session tickets are sealed with.
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ . }}]
  verbs: [get, list, watch]
{{- end }}
{{- if or (get $named "default-backend-service") (get $named "default-ssl-certificate") (get $named "tls-session-ticket-secret") }}
# What is wrong with them.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}
{{- end }}
{{- if eq $namespace (include "edgeward.namespace" .root) }}
{{- if $rights.election }}
# The election of the replica that writes. The name of what is to be created cannot be restricted.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ get $flags "election-id" | default "edgeward-leader" }}]
  verbs: [get, update]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
{{- end }}
{{- if $rights.status }}
# The other replicas: on which nodes they are, and whether the last one stops.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
{{- end }}
{{- end }}
{{- end -}}

{{/*
The namespaces that need a Role, as a YAML list.
*/}}
{{- define "edgeward.roleNamespaces" -}}
{{- $flags := fromYaml (include "edgeward.flags" .) -}}
{{- $settings := fromYaml (include "edgeward.settings" .) -}}
{{- $namespaces := list (include "edgeward.namespace" .) -}}
{{- range $flag := list "configmap" "publish-service" "default-backend-service" "default-ssl-certificate" "tls-session-ticket-secret" -}}
{{- $reference := splitList "/" (get $flags $flag | default "") -}}
{{- if eq (len $reference) 2 }}{{ $namespaces = append $namespaces (index $reference 0) }}{{ end -}}
{{- end -}}
{{- if .Values.rbac.scope }}{{ $namespaces = concat $namespaces $settings.namespaces }}{{ end -}}
{{- toYaml ($namespaces | uniq | sortAlpha) -}}
{{- end -}}
