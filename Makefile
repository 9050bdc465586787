# pikube: `make demo` runs the main job, `make test` passes the tests; each brings what it needs on Debian and Ubuntu.
# As an ordinary user without sudo nothing is installed: what is missing is named, and what needs it is skipped.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# An ordinary user of Debian has no sbin; sfdisk and mkfs.vfat live there.
export PATH := $(HOME)/.cargo/bin:$(PATH):/usr/sbin:/sbin
PREFIX ?= /usr/local
ARM64 := aarch64-unknown-linux-musl
ARMV7 := armv7-unknown-linux-musleabihf
AMD64 := x86_64-unknown-linux-gnu
AGENTS := target/agents

.PHONY: help demo test bench agents lint install clean setup setup-agents setup-tests piflash test-agents test-images test-farm test-standins

help:
	@echo "make demo     write a card, boot it as a control plane, show its journal and status, and kubectl on the laptop"
	@echo "make test     all tests; as root (or with sudo) with booted nodes"
	@echo "make bench    piflash against other programs and the limits of this machine; 15 minutes, root"
	@echo "make agents   the agents for aarch64 and armv7, in $(AGENTS)"
	@echo "make lint     formatting, clippy, shellcheck, cargo-deny"
	@echo "make install  piflash, its manual page and completions into $(PREFIX) (PREFIX=...)"
	@echo "make clean    remove everything that was built"

# --- what the machine needs ------------------------------------------------------------------------------------

setup:
	@tests/setup/packages.sh build-essential ca-certificates curl file
	@tests/setup/rust.sh

setup-agents: setup
	@tests/setup/targets.sh $(ARM64) $(ARMV7)

setup-tests: setup
	@tests/setup/packages.sh shellcheck dash busybox gnupg dbus python3-dbus python3-gi perl openssl age strace $$(sed 's/ *#.*//' tests/images/requirements.txt)
	tests/setup/readers.sh target/test-readers

# --- what is built ---------------------------------------------------------------------------------------------

agents: setup-agents
	cargo build --profile agent -p pikube-agent --target $(ARM64)
	cargo build --profile agent -p pikube-agent --target $(ARMV7)
	@mkdir -p $(AGENTS)
	@install -m 755 target/$(ARM64)/agent/pikube-agent $(AGENTS)/pikube-agent-arm64
	@install -m 755 target/$(ARMV7)/agent/pikube-agent $(AGENTS)/pikube-agent-armv7
	@cd $(AGENTS) && for agent in pikube-agent-arm64 pikube-agent-armv7; do \
	    size=$$(stat -c %s $$agent); echo "$$size bytes  $$(file $$agent)"; \
	    [ "$$size" -le $$((4 << 20)) ] || { echo "$$agent is larger than 4 MiB"; exit 1; }; done

piflash: agents
	cargo build --release -p piflash

# The twin of a card boots on this machine's own processor and needs an agent for it.
test-agents: agents
	@mkdir -p target/test-agents
	@cp $(AGENTS)/pikube-agent-* target/test-agents/
ifeq ($(shell uname -m),x86_64)
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --profile agent -p pikube-agent --target $(AMD64)
	@install -m 755 target/$(AMD64)/agent/pikube-agent target/test-agents/pikube-agent-amd64
endif

# Without root and without the packages there are no images, and what needs them is skipped.
test-images: setup-tests
	tests/images/build.sh || [ "$$(id -u)" != 0 ]

# What booted nodes find in place of the internet; the same goes for it.
test-farm: setup-tests
	tests/farm/build.sh || [ "$$(id -u)" != 0 ]

# What the nodes install of Kubernetes: it cannot be downloaded where the tests run.
test-standins: setup-tests
	tests/standins/build.sh target/test-standins || [ "$$(id -u)" != 0 ]

install: piflash
	install -D -m 755 target/release/piflash $(DESTDIR)$(PREFIX)/bin/piflash
	@man=$(DESTDIR)$(PREFIX)/share/man/man1/piflash.1; mkdir -p $${man%/*}; target/release/piflash man >$$man
	@share=$(DESTDIR)$(PREFIX)/share; \
	for file in bash:bash-completion/completions/piflash zsh:zsh/site-functions/_piflash \
	        fish:fish/vendor_completions.d/piflash.fish; do \
	    to=$$share/$${file#*:}; mkdir -p $${to%/*}; target/release/piflash completions $${file%%:*} >$$to; done

# --- what is tried ---------------------------------------------------------------------------------------------

demo: setup-tests piflash test-agents test-images test-farm test-standins
	PIKUBE_PIFLASH=$(CURDIR)/target/release/piflash cargo run -q -p pikube-tests --bin demo

test: setup-tests piflash test-agents test-images test-farm test-standins
	PIKUBE_PIFLASH=$(CURDIR)/target/release/piflash tests/setup/run-tests.sh

bench: setup-tests piflash test-images
	@tests/setup/packages.sh bmap-tools xz-utils gzip zstd
	cargo run -q --release -p pikube-tests --bin bench

lint: setup setup-tests
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	shellcheck units/*.sh tests/setup/*.sh tests/src/probe.sh
	cd tests/images && shellcheck -x *.sh
	cd tests/farm && shellcheck -x *.sh
	cd tests/standins && shellcheck -x *.sh files/*.postinst files/*.prerm
	@tests/setup/cargo-deny.sh
	cargo deny --config .deny.toml check bans licenses sources

clean:
	rm -rf target
