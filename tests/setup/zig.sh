# shellcheck shell=bash
# Builds the agent for targets whose standard library rustup cannot fetch; sourced by targets.sh and agent.sh. The parts:
# the source of the standard library that belongs to the compiler (rustup's component, else the distribution's Rust with
# its source), and Zig's wheel, which brings musl, start files and an unwinder for every target; cargo-zigbuild links with
# it. All of it stays in the cache of the tests, the compiled standard library included, so a later clone is spared it.

setup=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$setup"/cache.sh
zig_versions=(ziglang==0.17.0 cargo-zigbuild==0.24.0)
zig=$cache/zig-0.17.0

# has_target TARGET : whether the Rust on PATH has a standard library for it.
has_target() { compgen -G "$(rustc --print sysroot)/lib/rustlib/$1/lib/libcore-*.rlib" >/dev/null; }

# The directory of a Rust that has the source of its standard library; nothing where there is none yet.
rust_with_source() {
    local bin
    for bin in "$(dirname "$(command -v rustc)")" /usr/bin /usr/lib/rust-*/bin; do
        [ -x "$bin/rustc" ] || continue
        "$setup"/enough-rust.sh "$bin" || continue
        [ -f "$("$bin"/rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock" ] || continue
        echo "$bin"
        return
    done
}

install_zig() {
    [ -n "$(rust_with_source)" ] || rustup component add rust-src 2>/dev/null || "$setup"/distribution-rust.sh >/dev/null
    [ -x "$zig/bin/cargo-zigbuild" ] && return
    "$setup"/packages.sh python3-venv
    rm -rf "$zig" "$zig.new"
    mkdir -p "$cache"
    python3 -m venv "$zig"
    "$zig"/bin/pip install --quiet --disable-pip-version-check "${zig_versions[@]}" || { rm -rf "$zig"; return 1; }
}

# build_with_zig TARGET : builds the agent, and sets `built` to the program.
# shellcheck disable=SC2034 # agent.sh reads it
build_with_zig() {
    local bin version
    bin=$(rust_with_source)
    version=$("$bin"/rustc --version | cut -d' ' -f2)
    CARGO_TARGET_DIR=$cache/agents-$version RUSTC_BOOTSTRAP=1 RUSTFLAGS="-C link-self-contained=no" \
        PATH=$zig/bin:$bin:$PATH cargo-zigbuild zigbuild -Z build-std=std,panic_abort --profile agent -p pikube-agent --target "$1"
    built=$cache/agents-$version/$1/agent/pikube-agent
}
