//go:build tools

// Package testbed pins what the cluster tests run: a real API server with its store, kubectl, and the EndpointSlice
// controller (in epsctl), all built from source by `make testbed`.
package testbed

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
