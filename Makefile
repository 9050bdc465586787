# pikube: `make demo` runs the main job, `make test` passes the tests; each brings what it needs on Debian and Ubuntu.
# As an ordinary user without sudo nothing is installed: what is missing is named, and what needs it is skipped.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# rust.sh puts a distribution's Rust into target/toolchain. An ordinary user of Debian has no sbin; sfdisk and mkfs.vfat
# live there.
export PATH := $(CURDIR)/target/toolchain/bin:$(HOME)/.cargo/bin:$(PATH):/usr/sbin:/sbin
PREFIX ?= /usr/local
ARM64 := aarch64-unknown-linux-musl
ARMV7 := armv7-unknown-linux-musleabihf
AGENTS := target/agents

.PHONY: help demo style check test test-all ci bench agents lint install clean setup setup-tests piflash test-agents test-images test-farm test-standins test-kubernetes test-kubernetes-all

help:
	@echo "make demo      write a card, boot it as a control plane, show its journal and status, and kubectl on the laptop"
	@echo "make check     formatting, clippy, unit tests; no root, seconds when warm"
	@echo "make test      the tests: cards, loop devices, booted nodes; as root or with sudo; 20 to 30 minutes"
	@echo "make test-all  the rest too: every system, every power cut, a cluster of real Kubernetes nodes"
	@echo "make bench     piflash against other programs and the limits of this machine; 20 minutes, root"
	@echo "make agents    the agents for aarch64 and armv7, in $(AGENTS)"
	@echo "make lint      formatting, clippy, shellcheck, cargo-deny"
	@echo "make install   piflash, its manual page and completions into $(PREFIX) (PREFIX=...)"
	@echo "make clean     remove everything that was built"

# --- what the machine needs ------------------------------------------------------------------------------------

setup:
	@tests/setup/packages.sh @build
	@tests/setup/rust.sh

setup-tests: setup
	@tests/setup/packages.sh @demo @test
	@tests/setup/readers.sh target/test-readers

# --- what is built ---------------------------------------------------------------------------------------------

agents: setup
	@tests/setup/targets.sh $(ARM64) $(ARMV7)
	@tests/setup/agent.sh $(ARM64) $(AGENTS)/pikube-agent-arm64
	@tests/setup/agent.sh $(ARMV7) $(AGENTS)/pikube-agent-armv7

piflash: agents
	cargo build --release -p piflash

# The twin of a card boots on this machine's own processor and needs an agent for it.
test-agents: agents
	@mkdir -p target/test-agents
	@cp $(AGENTS)/pikube-agent-* target/test-agents/
	@tests/setup/node-programs.sh target/test-agents

# Without root and without the packages there are no images, and what needs them is skipped.
test-images: setup-tests
	tests/images/build.sh || [ "$$(id -u)" != 0 ]

# What booted nodes find in place of the internet; the same goes for it.
test-farm: setup-tests
	tests/farm/build.sh || [ "$$(id -u)" != 0 ]

# What the nodes install of Kubernetes where no real one is built.
test-standins: setup-tests
	tests/standins/build.sh target/test-standins || [ "$$(id -u)" != 0 ]

# A real Kubernetes, as far as a tier needs it. Where there is no Go, or its modules cannot be fetched, the tests that need
# it say so by name.
test-kubernetes: setup-tests
	tests/kubernetes/build.sh native || [ $$? = 3 ]

test-kubernetes-all: setup-tests test-images test-farm
	@tests/setup/packages.sh @real
	tests/kubernetes/build.sh contract v1.35.4/kubectl v1.37.2/kubectl || [ $$? = 3 ]
	tests/kubernetes/nodes.sh && tests/kubernetes/machine.sh raspios-trixie-amd64 || [ $$? = 3 ]

install: piflash
	install -D -m 755 target/release/piflash $(DESTDIR)$(PREFIX)/bin/piflash
	@man=$(DESTDIR)$(PREFIX)/share/man/man1/piflash.1; mkdir -p $${man%/*}; target/release/piflash man >$$man
	@share=$(DESTDIR)$(PREFIX)/share; \
	for file in bash:bash-completion/completions/piflash zsh:zsh/site-functions/_piflash \
	        fish:fish/vendor_completions.d/piflash.fish; do \
	    to=$$share/$${file#*:}; mkdir -p $${to%/*}; target/release/piflash completions $${file%%:*} >$$to; done

# --- what is tried ---------------------------------------------------------------------------------------------

demo:
	@tests/setup/demo.sh

# What check and lint have in common.
style: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

check: style
	cargo test --workspace --lib --bins

test: setup-tests test-agents test-images test-farm test-standins test-kubernetes
	tests/setup/run-tests.sh test

# With the piflash that `make install` installs.
test-all: setup-tests piflash test-agents test-images test-farm test-standins test-kubernetes test-kubernetes-all
	PIKUBE_PIFLASH=$(CURDIR)/target/release/piflash tests/setup/run-tests.sh all

# What .ci/run calls: the tests, and what of the rest fits into its time (tests/tiers.list).
ci: lint setup-tests test-agents test-images test-farm test-standins test-kubernetes
	tests/setup/run-tests.sh ci

bench: setup-tests piflash test-images
	@tests/setup/packages.sh @bench
	cargo run -q --release -p pikube-tests --bin bench

lint: style
	@tests/setup/packages.sh @lint
	shellcheck units/*.sh tests/src/probe.sh
	cd tests/setup && shellcheck -x *.sh
	cd tests/images && shellcheck -x *.sh
	cd tests/farm && shellcheck -x *.sh
	cd tests/kubernetes && shellcheck -x *.sh
	cd tests/fuzz && shellcheck -x *.sh
	cd tests/standins && shellcheck -x *.sh files/*.postinst files/*.prerm
	@tests/setup/cargo-deny.sh

clean:
	rm -rf target
