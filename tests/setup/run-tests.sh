#!/bin/bash
# run-tests.sh test|ci|all : runs the tests of a tier (tests/tiers.list) and of those before it, then prints each suite with
# its time, and everything that was skipped, with the reason. As root nothing of a tier may be skipped but what needs Go.
set -euo pipefail
cd "$(dirname "$0")/../.."
case ${1:-} in
test) tiers="test" ;;
ci) tiers="test ci" ;;
all) tiers="test ci all" ;;
*) echo "usage: run-tests.sh test|ci|all" >&2; exit 2 ;;
esac
logs=target/tmp/pikube-test-logs
rm -rf "$logs"
mkdir -p "$logs"

# suites FOLDER : names of the suites of integration tests there
suites() {
    local path
    for path in "$1"/*.rs "$1"/*/main.rs; do
        [ -f "$path" ] || continue
        path=${path%/main.rs} path=${path##*/}
        echo "${path%.rs}"
    done
}

# Every suite of the booted nodes and of the stand-ins has its line.
for suite in $(suites tests/tests) $(suites tests/standins/tests); do
    awk -v suite="$suite" '$3 == suite { found = 1 } END { exit !found }' tests/tiers.list ||
        { echo "tests/tiers.list does not say when to run the suite $suite" >&2; exit 1; }
done

missing=()
for command in sfdisk mkfs.vfat fsck.fat mcopy mtype xz shellcheck busybox dash; do
    command -v "$command" >/dev/null || missing+=("$command")
done
if [ "$(id -u)" = 0 ]; then
    export PIKUBE_REQUIRE_NODES=${PIKUBE_REQUIRE_NODES-1}
else
    echo "skipped: loop devices, FUSE cards, udisks2 and networks of nodes: they need root" | tee "$logs/skipped.log"
fi

# Booted nodes with a real Kubernetes run only where they are asked for.
[ "$1" != all ] || export PIKUBE_REAL=1

# suite NAME CARGO-ARGUMENT... : one call of cargo test, into a log of its own. Always of the whole workspace: with one
# package alone the crates would have other features, and would be compiled again.
suite() {
    local log=$logs/$1.log
    shift
    cargo test --workspace --no-fail-fast "$@" >"$log" 2>&1 || echo "run-tests: failed" >>"$log"
}
# lane NAME : the suites of a lane, one after the other.
lane() {
    local tier lane name tests
    while read -r tier lane name tests; do
        [[ " $tiers " == *" $tier "* && $lane = "$1" ]] || continue
        # shellcheck disable=SC2086 # one word per test
        suite "$name-$tier" --test "$name" -- $tests
    done < <(sed 's/#.*//' tests/tiers.list)
}

if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" != 0 ]; then
    echo "skipped: cards, nodes, Raspberry Pi: not installed: ${missing[*]}" | tee -a "$logs/skipped.log"
    suite units --lib --bins
else
    cargo test --workspace --no-run
    beside=()
    trap 'kill "${beside[@]}" 2>/dev/null || true' EXIT
    lanes=$(sed 's/#.*//' tests/tiers.list | awk 'NF { print $2 }' | sort -u)
    for lane in $lanes; do
        lane "$lane" & beside+=($!)
    done
    suite units --lib --bins
    mapfile -t own < <(for folder in config agent imager; do suites $folder/tests; done | sort -u)
    suite programs "${own[@]/#/--test=}"
    wait "${beside[@]}"
    trap - EXIT
fi

# What failed, whole; then a line for each suite, what was skipped, and the sum.
for log in "$logs"/*.log; do
    ! grep -q '^run-tests: failed$' "$log" || { printf '\n=== %s\n' "$log"; cat "$log"; }
done
awk '
    function sum(word,   n) { n = 0; if (match($0, "[0-9]+ " word)) n = substr($0, RSTART, RLENGTH) + 0; return n }
    /^ +Running / { name = $2 == "unittests" ? FILENAME " " $3 : FILENAME " " $2; sub(/.*\//, "", name) }
    /^test result: / { passed += sum("passed"); failed += sum("failed")
        seconds = $0; sub(/.*finished in /, "", seconds)
        if (sum("passed") + sum("failed") > 0) printf "%-50s %4d passed %3d failed %10s\n", name, sum("passed"), sum("failed"), seconds }
    /^run-tests: failed$/ { broken++ }
    /skipped: / { sub(/.*skipped: /, "skipped: "); if (!seen[$0]++) skips[++count] = $0 }
    END { print ""; for (i = 1; i <= count; i++) print skips[i]
        print ""; if (broken && !failed) failed = broken
        printf "%d passed, %d failed, %d skipped\n", passed, failed, count; exit failed > 0 }
' "$logs"/*.log
