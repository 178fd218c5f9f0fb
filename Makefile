# Two commands do everything: `make demo` runs Edgeward on this machine, `make test` passes all tests.
# Both install what is missing where they can, and name it in one line where they cannot.

SHELL := /bin/bash
CARGO ?= cargo
DENY_VERSION := 0.20.2
# Needed to build the TLS and compression libraries, and by the demo's printed lines; and to make a network namespace.
TOOLS := cc cmake curl
TEST_TOOLS := $(TOOLS) ip strace valgrind nginx

.PHONY: demo build test check fmt clippy doc deny build-tests unit integration cluster scale guards scale-cluster manifests \
        manifests-check bench fuzz setup setup-test

demo: build
	./target/release/edgeward demo

build: setup
	$(CARGO) build --release --locked -p edgeward

# Everything that a change has to pass.
test: setup-test unit integration cluster scale guards manifests-check

# Format, lints, docs and dependencies: what needs no running proxy.
check: fmt clippy doc deny

fmt:
	$(CARGO) fmt --all --check

clippy: setup
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

# Private items are part of these docs, so that links to them are right.
doc: setup
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --workspace --no-deps --locked --document-private-items

# Advisories need their database; where it cannot be reached that is said, and everything else is still checked.
deny: setup
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny --version $(DENY_VERSION)
	$(CARGO) deny --locked check bans licenses sources
	@if $(CARGO) deny --locked fetch db >/dev/null 2>&1; then $(CARGO) deny --locked check advisories; \
	 else echo "cargo-deny: the advisory database cannot be reached from here: advisories were NOT checked"; fi

# One build for both: Cargo unifies features over the packages it is asked for, and another selection would build the
# dependencies again. The integration tests run the real binary that this leaves in target/debug.
build-tests:
	$(CARGO) build --workspace --all-targets --locked

unit: build-tests
	$(CARGO) test --workspace --lib --bins --locked

integration: build-tests
	$(CARGO) test --workspace --test it --locked -- --nocapture --skip cluster:: --skip scale:: --skip guards::
	EDGEWARD_FAST_PATH=false $(CARGO) test --workspace --test it --locked -- --nocapture $(BOTH)

# What both engines serve passes on both of them.
BOTH := access:: annotations:: auth:: balancing:: canary:: charts:: client_certificates:: compression:: conformance:: digest:: errors:: failures:: flaws:: framing:: http1:: http2:: limits:: mirror:: nginx:: observability:: oracle:: paths:: response:: semantics:: sessions:: shutdown:: traces:: tunnel:: upstream:: upstream_tls::

# A network namespace of the tests' own: as root, or as root of a user namespace.
NAMESPACE = $$(unshare --net true 2>/dev/null && echo --net || echo --user --map-root-user --net)
# A real API server, and pods on addresses that are no loopback ones: those are local in that namespace. Building the API
# server takes about ten minutes once.
define in-cluster
directory=$$(./tests/cluster/build.sh) && export EDGEWARD_TESTBED_BIN=$$directory && \
unshare $(NAMESPACE) bash -c 'set -e; ip link set lo up; ip route add local 10.201.0.0/16 dev lo; \
  exec $(CARGO) test --workspace --test it --locked --offline -- --nocapture $(1)'
endef

cluster: setup-test build-tests
	$(call in-cluster,cluster::)

# The same for large clusters, with the release build; it takes about ten minutes. INGRESSES=1000 is quicker.
INGRESSES ?= 10000
scale-cluster: setup-test build build-tests
	export EDGEWARD_BIN=$(CURDIR)/target/release/edgeward EDGEWARD_SCALE_INGRESSES=$(INGRESSES) && \
	$(call in-cluster,cluster::scale::)

# The same test binary against the release build: what is promised of a large site is promised of that.
scale: build build-tests
	EDGEWARD_BIN=$(CURDIR)/target/release/edgeward $(CARGO) test --workspace --test it --locked -- --nocapture --skip cluster:: scale::

# What a request costs in system calls and instructions, of the release build.
guards: setup-test build build-tests
	EDGEWARD_BIN=$(CURDIR)/target/release/edgeward $(CARGO) test --workspace --test it --locked -- --nocapture guards::

# What `kubectl apply` takes, from the chart. Both build helm from its Go module once.
manifests:
	deploy/static/generate.sh

manifests-check:
	deploy/static/generate.sh --check

# Annotations and requests that nobody thought of, for so many seconds. What cargo-fuzz does, on a stable compiler: coverage is
# counted, and memory is not watched, for there is no unsafe code to watch.
FUZZ_SECONDS ?= 60
COVERAGE := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
            -Cllvm-args=-sanitizer-coverage-pc-table -Clink-dead-code
fuzz: setup
	host=$$(rustc -vV | sed -n 's/^host: //p') && mkdir -p target/fuzz/corpus && \
	RUSTFLAGS="--cfg fuzzing $(COVERAGE)" $(CARGO) build --release --manifest-path fuzz/Cargo.toml --target $$host --target-dir target/fuzz && \
	target/fuzz/$$host/release/annotations target/fuzz/corpus -max_total_time=$(FUZZ_SECONDS) -timeout=10

# CPU per request beside its peers; benches/README.md says how to read it.
bench: build
	$(CARGO) build --release --locked -p edgeward-benches
	./target/release/side-by-side

setup:
	@version=$$($(CARGO) --version 2>/dev/null | cut -d' ' -f2); \
	if ! printf '1.89\n%s\n' "$${version:-0}" | sort -V -C; then \
	  echo "Rust 1.89 or newer is missing (found: $${version:-none}): install it from https://rustup.rs"; exit 1; fi
	@$(call install,$(TOOLS))

# What only the tests need, before anything is built.
setup-test: setup
	@$(call install,$(TEST_TOOLS))
	@command -v go >/dev/null || { echo "Go is missing: install it from https://go.dev/dl"; exit 1; }
	@unshare $(NAMESPACE) true 2>/dev/null || { echo "a network namespace cannot be made: run this as root, or where user \
	namespaces are allowed (sysctl kernel.unprivileged_userns_clone=1, or a container with --privileged)"; exit 1; }

# Installs what is missing of some tools where it can, and names it where it cannot. Servers such as nginx are in /usr/sbin, which is
# not on every user's PATH.
define install
missing=""; for tool in $(1); do PATH="$$PATH:/usr/sbin" command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
if [ -n "$$missing" ]; then \
  packages="$${missing/ cc/ build-essential}"; packages="$${packages/ ip/ iproute2}"; \
  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
    apt-get update -qq && apt-get install -y -qq $$packages; \
  else echo "missing:$$missing - install with: sudo apt-get install$$packages"; exit 1; fi; \
fi
endef
