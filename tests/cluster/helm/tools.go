//go:build tools

// Package helm pins the helm that lints and renders the chart. It is a module of its own, so that its dependencies do not
// have a say in those of the API server.
package helm

import _ "helm.sh/helm/v4/cmd/helm"
