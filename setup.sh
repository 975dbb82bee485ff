#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Gyre from a fresh clone on Debian 12, as root or with sudo.
#
#   ./setup.sh [build]             install what is missing, fetch, build: leaves build/gyre
#   ./setup.sh demo [NAME] [ARG..] build, then run `gyre demo NAME ARG..` (NAME: sepsis, fuel, bikes, iris ..)
#   ./setup.sh test [--all]        build, then every check and test; last line: N passed, N failed, N skipped
#   ./setup.sh -h                  this text
#
# A second run needs no network. Logs of what was installed are in .setup/, ./cleanup.sh removes all that is made here.
set -euo pipefail
cd "$(dirname "$0")"

STATE=.setup
KILOBYTES=0
START=$(date +%s%N)
mkdir -p "$STATE"

say() {
    printf 'setup: %s\n' "$*" >&2
}

die() {
    say "$@"
    exit 1
}

# Packages of the sets named in $@ that are not installed, one per line.
missing_packages() {
    local wanted
    wanted=$(awk -v sets=" $* " '$1 !~ /^#/ && index(sets, " " $1 " ") { print $2 }' deps/packages | sort -u)
    # dpkg-query exits 1 when any is unknown: that is what is asked here.
    # shellcheck disable=SC2086
    { dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null || true; } |
        awk '$1 == "installed" { print $2 }' | sort -u | comm -13 - <(echo "$wanted")
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        env LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"
    else
        sudo env LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

add_fetched() { # log file of apt-get
    KILOBYTES=$((KILOBYTES + $(awk '/^Fetched / { gsub(",", "", $2)
        kb += $2 * ($3 == "MB" ? 1000 : $3 == "B" ? 0.001 : 1) } END { printf "%d", kb }' "$1")))
}

apt_update() {
    say "reading the package lists"
    as_root apt-get -q -o APT::Update::Error-Mode=any update >"$STATE/apt-update.log" 2>&1 </dev/null ||
        die "the Debian package mirror did not answer (apt-get update; log: $STATE/apt-update.log)"
    add_fetched "$STATE/apt-update.log"
}

apt_install() {
    as_root apt-get -q -y --no-install-recommends install "$@" >"$STATE/apt-install.log" 2>&1 </dev/null
}

install_packages() { # sets
    local missing name
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
        die "needs root or the tool 'sudo' to install Debian packages:" $missing
    if ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; then
        apt_update
    fi
    say "installing $(echo "$missing" | wc -l) Debian packages:" $missing
    # shellcheck disable=SC2086
    if ! apt_install $missing; then
        # Lists older than the mirror name files that are gone: read them again, once.
        apt_update
        # shellcheck disable=SC2086
        if ! apt_install $missing; then
            name=$(sed -n "s/^E: Unable to locate package //p; s/^E: Package '\([^']*\)'.*/\1/p" \
                "$STATE/apt-install.log" | head -n1)
            [ -z "$name" ] || die "the Debian package '$name' is not in this system's package lists"
            die "apt-get could not install the packages above (log: $STATE/apt-install.log)"
        fi
    fi
    add_fetched "$STATE/apt-install.log"
    echo "$missing" >>"$STATE/installed-packages"
}

fetch_deps() {
    local before
    before=$(cat .deps/.stamp 2>/dev/null || true)
    if ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null && [ -z "$before" ]; then
        apt_update
    fi
    deps/fetch.sh || exit 1
    [ "$before" = "$(cat .deps/.stamp)" ] || KILOBYTES=$((KILOBYTES + $(cat .deps/.kilobytes)))
}

build() {
    if [ ! -e build/build.ninja ]; then
        say "configuring build/"
        meson setup build -Doptimization=2 -Ddebug=false -Dtests=false >"$STATE/meson.log" 2>&1 ||
            die "meson could not configure build/: $(grep -m1 -o 'ERROR.*' "$STATE/meson.log") (log: $STATE/meson.log)"
    fi
    ninja -C build >"$STATE/ninja.log" 2>&1 ||
        die "the build failed: $(grep -m1 -E 'error|FAILED' "$STATE/ninja.log") (log: $STATE/ninja.log)"
}

# The interop tests drive the real clients. Without the package index they are skipped and counted, with this reason.
make_venv() { # FOLDER REQUIREMENTS
    local want why="$STATE/no-${1#.}" log="$STATE/pip-${1#.}.log"
    want=$(sha256sum "$2" | cut -c1-64)
    if [ "$(cat "$1/.stamp" 2>/dev/null || true)" = "$want" ]; then
        return 0
    fi
    say "making the Python environment $1 of the interop tests"
    rm -rf "$1" "$why"
    # The path matters: a python3 earlier on PATH may be another version.
    if /usr/bin/python3 -m venv "$1" >"$log" 2>&1 &&
        "$1/bin/python" -m pip install --progress-bar off -r "$2" >>"$log" 2>&1 </dev/null; then
        KILOBYTES=$((KILOBYTES + $(awk '/^ *Downloading .*\([0-9.]+ [kM]B\)/ {
            size = $(NF - 1); sub(/\(/, "", size); kb += size * ($NF ~ /^M/ ? 1000 : 1) } END { printf "%d", kb }' \
            "$log")))
        echo "$want" >"$1/.stamp"
    else
        echo "the Python package index (PyPI) did not give all of $2" >"$why"
        say "$(cat "$why"): its tests will be skipped (log: $log)"
    fi
}

# The tests of S3 run against a real server, built once into .deps/s3. Without Go or the module proxy they are skipped and
# counted, with the reason that deps/s3-server.sh --why gives.
make_s3_server() {
    if [ ! -x .deps/s3/versitygw ] && ! command -v go >/dev/null && ! compgen -G '/usr/local/go/bin/go' >/dev/null; then
        apt_install golang-go && echo golang-go >>"$STATE/installed-packages" || true
    fi
    deps/s3-server.sh 2>"$STATE/s3-server.log" || say "$(cat "$STATE/s3-server.log"): the tests of S3 will be skipped"
}

# gyre stream is tested on a real Kafka broker as well, which needs Java; without it these tests are skipped and counted, with
# the reason that deps/kafka.sh --why gives.
fetch_kafka() {
    if command -v java >/dev/null && ! command -v mvn >/dev/null; then
        apt_install maven && echo maven >>"$STATE/installed-packages" || true
    fi
    deps/kafka.sh 2>"$STATE/kafka.log" || say "$(cat "$STATE/kafka.log"): the tests on a real broker will be skipped"
}

# SQL needs DuckDB's library, which comes out of an npm package; all else works without it. $@: for deps/duckdb.sh.
fetch_duckdb() {
    if deps/duckdb.sh "$@" 2>"$STATE/duckdb.log"; then
        KILOBYTES=$((KILOBYTES + $(awk '{ kb += $1 } END { printf "%d", kb }' .deps/duckdb/.kilobytes)))
    else
        say "$(cat "$STATE/duckdb.log"): 'gyre data query' will say so too"
    fi
}

# ONNX models need ONNX Runtime's library (80 MB of download, 22 MB kept), so only the tests fetch it unasked. $@: for deps/onnxruntime.sh.
fetch_onnxruntime() {
    if deps/onnxruntime.sh "$@" 2>"$STATE/onnxruntime.log"; then
        KILOBYTES=$((KILOBYTES + $(awk '{ kb += $1 } END { printf "%d", kb }' .deps/onnxruntime/.kilobytes)))
    else
        say "$(cat "$STATE/onnxruntime.log"): the tests of ONNX will be skipped"
    fi
}

# The demos fuel and iris have real tables with it, and make some without.
fetch_tables() {
    if deps/vega-datasets.sh 2>"$STATE/vega-datasets.log"; then
        KILOBYTES=$((KILOBYTES + $(awk '{ kb += $1 } END { printf "%d", kb }' .deps/vega-datasets/.kilobytes)))
    else
        say "$(cat "$STATE/vega-datasets.log"): the demos fuel and iris will make their rows"
    fi
}

report() {
    local ms=$((($(date +%s%N) - START) / 1000000))
    say "$(awk -v kb=$KILOBYTES -v ms=$ms 'BEGIN { printf "%.1f MB fetched, %.1f minutes (%.1f s)", kb / 1000, ms / 60000, ms / 1000 }')"
}

prepare() { # sets of packages
    for tool in apt-get dpkg-query; do
        command -v "$tool" >/dev/null || die "the tool '$tool' is missing: this script is for Debian 12"
    done
    install_packages "$@"
    fetch_deps
}

verb=${1:-build}
[ $# = 0 ] || shift
case $verb in
build)
    [ $# = 0 ] || die "build takes no arguments (try -h)"
    prepare build
    fetch_duckdb
    fetch_tables
    build
    report
    say "built: build/gyre"
    ;;
demo)
    prepare build
    build
    report
    case ${1:-} in
    '' | -*) set -- sepsis "$@" ;;
    esac
    case $1 in
    fuel | iris) fetch_tables ;;
    esac
    exec build/gyre demo "$@"
    ;;
test)
    case "$*" in
    '' | --all) ;;
    *) die "test takes nothing or --all (try -h)" ;;
    esac
    prepare build test
    if ! command -v npm >/dev/null && [ ! -e .deps/lib/libduckdb.so ]; then
        apt_install npm && echo npm >>"$STATE/installed-packages" || true
    fi
    fetch_duckdb --header
    fetch_onnxruntime --header
    fetch_tables
    { make_s3_server && fetch_kafka; } & # all of these wait for the network more than for the machine
    make_venv .venv tests/requirements.txt
    make_venv .venv-serving tests/requirements-serving.txt
    wait
    report
    exec /usr/bin/python3 tools/run-tests "$@"
    ;;
-h | --help)
    sed -n '3,10s/^# \{0,1\}//p' "$0"
    ;;
*)
    die "unknown argument '$verb' (try -h)"
    ;;
esac
