#!/usr/bin/env bash
# Makes NAME/deploy.yaml from the chart and values/NAME.yaml, for those who install with kubectl alone.
#
#   generate.sh           writes them
#   generate.sh --check   lints and renders the chart with every values file, and fails where a manifest is not current
set -euo pipefail
cd "$(dirname "$0")"
chart=../charts/edgeward
helm=$(../../tests/cluster/build.sh helm)/helm

# Helm's own labels say who manages an object, which here is whoever applies it.
render() {
  local name=$1 level=privileged
  # Ports and the network of the host are for privileged namespaces only; everything else is as restricted as can be.
  [ "$name" = cloud ] && level=restricted
  cat <<NAMESPACE
# Made from deploy/charts/edgeward with deploy/static/values/$name.yaml by \`make manifests\`: change those.
apiVersion: v1
kind: Namespace
metadata:
  name: edgeward
  labels:
    app.kubernetes.io/name: edgeward
    app.kubernetes.io/instance: edgeward
    pod-security.kubernetes.io/enforce: $level
NAMESPACE
  "$helm" template edgeward "$chart" --namespace edgeward --kube-version 1.33.0 --values "values/$name.yaml" |
    grep -vE '^ *(helm\.sh/chart|app\.kubernetes\.io/managed-by): '
}

status=0
if [ "${1:-}" = --check ]; then
  # The tag of the image is the version of the chart's application.
  program=$(awk -F '"' '$1 == "version = " { print $2; exit }' ../../Cargo.toml)
  grep -qx "appVersion: $program" "$chart/Chart.yaml" || { echo "appVersion in $chart/Chart.yaml is not $program" >&2; exit 1; }
  for values in "$chart"/ci/*-values.yaml; do
    "$helm" lint --strict --quiet "$chart" --values "$values"
    "$helm" template edgeward "$chart" --namespace edgeward --kube-version 1.33.0 --values "$values" >/dev/null
  done
fi
for values in values/*.yaml; do
  name=$(basename "$values" .yaml)
  if [ "${1:-}" = --check ]; then
    render "$name" | diff -u "$name/deploy.yaml" - || status=1
  else
    mkdir -p "$name"
    # In one piece or not at all.
    manifest=$(render "$name")
    printf '%s\n' "$manifest" >"$name/deploy.yaml"
  fi
done
[ "$status" = 0 ] || echo "deploy/static is not what the chart says: run \`make manifests\`" >&2
exit "$status"
