# shellcheck shell=bash
# One line for each phase of a long command, with the time since it began and the time the phase took; sourced. What a
# phase prints goes to a file, and is shown when it fails; PIKUBE_VERBOSE=1 shows all of it at once.

phases_started=$(date +%s)
phases_logs=target/logs
mkdir -p "$phases_logs"

elapsed() { echo $(($(date +%s) - phases_started)); }

# phase NAME COMMAND... : runs it in the foreground.
phase() {
    local name=$1 began status=0
    shift
    began=$(elapsed)
    if [ "${PIKUBE_VERBOSE:-}" = 1 ]; then
        printf '[%4d s] %s\n' "$began" "$name"
        "$@" || status=$?
    else
        "$@" >"$phases_logs/${name//[^a-zA-Z0-9]/-}.log" 2>&1 || status=$?
    fi
    phase_ended "$name" "$began" "$status"
}

# phase_ended NAME BEGAN STATUS : its line; ends the command where the phase failed.
phase_ended() {
    local log=$phases_logs/${1//[^a-zA-Z0-9]/-}.log
    if [ "$3" = 0 ]; then
        printf '[%4d s] %-46s %5d s\n' "$(elapsed)" "$1" $(($(elapsed) - $2))
        return
    fi
    printf '[%4d s] %-46s failed (exit code %d)\n' "$(elapsed)" "$1" "$3"
    [ ! -s "$log" ] || { tail -n 40 "$log"; echo "all of it: $log"; }
    exit 1
} >&2
