#!/usr/bin/env bash
# Builds what the cluster tests run: etcd, kube-apiserver, kubectl and epsctl, from the Go modules pinned in go.mod, and
# helm, from those pinned in helm/go.mod.
#
#   build.sh          builds what is missing (about ten minutes once) and prints the directory
#   build.sh helm     the same, of helm alone (a few minutes once)
#
# EDGEWARD_TESTBED names another directory. Where KUBEBUILDER_ASSETS is set, etcd, kube-apiserver and kubectl are taken
# from there, and only epsctl and helm are built.
set -euo pipefail
cd "$(dirname "$0")"
say() { echo "testbed: $*" >&2; }

command -v go >/dev/null || { say "Go is missing: install it from https://go.dev/dl (the version is in tests/cluster/go.mod)"; exit 1; }
only=${1:-}
kubernetes=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' go.mod)
etcd=$(awk '$1 == "go.etcd.io/etcd/server/v3" { print $2; exit }' go.mod)
helm=$(awk '$2 == "helm.sh/helm/v4" { print $3; exit }' helm/go.mod)
directory=${EDGEWARD_TESTBED:-${XDG_CACHE_HOME:-$HOME/.cache}/edgeward/testbed/kubernetes-$kubernetes-etcd-$etcd}
mkdir -p "$directory"
# Two builds at a time would only get in each other's way.
exec 8>"$directory/.lock"
flock 8

version=k8s.io/component-base/version
minor=${kubernetes#v1.}
flags="-s -w -X $version.gitVersion=$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*}"
build() {
  local name=$1 package=$2
  if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ "$name" != epsctl ]; then
    [ -x "$KUBEBUILDER_ASSETS/$name" ] || { say "KUBEBUILDER_ASSETS has no $name"; exit 1; }
    ln -sf "$KUBEBUILDER_ASSETS/$name" "$directory/$name"
  elif [ ! -x "$directory/$name" ] || [ -L "$directory/$name" ] || { [ "$name" = epsctl ] && [ epsctl/main.go -nt "$directory/$name" ]; }; then
    say "building $name"
    rm -f "$directory/$name"
    go build -trimpath -ldflags "$flags" -o "$directory/.$name.unfinished" "$package"
    mv "$directory/.$name.unfinished" "$directory/$name"
  fi
}
if [ "$only" != helm ]; then
  build etcd go.etcd.io/etcd/server/v3
  build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
  build kubectl k8s.io/kubernetes/cmd/kubectl
  build epsctl ./epsctl
fi
# helm has its own version in the name, so that another one is built when go.mod says so.
if [ ! -x "$directory/helm-$helm" ]; then
  say "building helm"
  (cd helm && nice -n 10 go build -trimpath -ldflags "-s -w" -o "$directory/.helm.unfinished" helm.sh/helm/v4/cmd/helm)
  mv "$directory/.helm.unfinished" "$directory/helm-$helm"
fi
ln -sf "helm-$helm" "$directory/helm"
echo "$directory"
