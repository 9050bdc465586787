# shellcheck shell=bash disable=SC2034
# Where what the tests build is kept between runs and between clones; sourced.
cache=${PIKUBE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pikube-tests}
