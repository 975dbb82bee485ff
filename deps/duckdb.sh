#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetch DuckDB's library into .deps/lib/libduckdb.so, where `gyre` opens it when SQL is asked for the first time.
#
#   deps/duckdb.sh               fetch the library that duckdb.lock names, unless it is there
#   deps/duckdb.sh --header      the library and duckdb.h, which a test compares with our declarations
#   deps/duckdb.sh --why         say why there is none, from the last try; exit 1 when there is one
#
# Both come out of npm packages by the ordinary `npm pack`, which runs nothing of them, and are checked with the sha256 in
# duckdb.lock. Nothing of it is committed; the build needs neither. 21 MB of download (the header: 11 MB more).
# Without npm: put a libduckdb.so of this version into a folder of your own and name that in GYRE_LIBDIR.
# Environment: GYRE_DEPS (default .deps).
set -eu

ROOT=$(cd "$(dirname "$0")/.." && pwd)
LOCK=$ROOT/deps/duckdb.lock
DEPS=${GYRE_DEPS:-$ROOT/.deps}
KEPT=$DEPS/duckdb
WHY=$KEPT/why

die() {
    printf '%s\n' "$*" >"$WHY"
    printf 'deps/duckdb.sh: %s\n' "$*" >&2
    exit 1
}

is_whole() { # file sha256
    [ -r "$1" ] && [ "$(sha256sum <"$1" | cut -c1-64)" = "$2" ]
}

# Fetch the file that the lock's line $1 names to $2.
fetch() {
    set -- "$1" "$2" $(awk -v w="$1" -v a="$arch" '$1 == w && ($4 == "any" || $4 == a) { print $2, $3, $5, $6 }' "$LOCK")
    [ $# = 6 ] || die "duckdb.lock has no $1 for this machine ($arch)"
    ! is_whole "$2" "$5" || return 0
    command -v npm >/dev/null || die "there is no npm to fetch DuckDB with (Debian: npm)"
    rm -rf "$KEPT/.fetch"
    mkdir -p "$KEPT/.fetch"
    (cd "$KEPT/.fetch" && npm pack --ignore-scripts --silent "$3@$4") >"$KEPT/fetch.log" 2>&1 ||
        die "the npm registry did not give $3 $4 (log: $KEPT/fetch.log)"
    tar -xzf "$KEPT/.fetch"/*.tgz -C "$KEPT/.fetch" "$6" 2>>"$KEPT/fetch.log" ||
        die "there is no $6 in $3 $4 (log: $KEPT/fetch.log)"
    is_whole "$KEPT/.fetch/$6" "$5" || die "$6 of $3 $4 is not the file that duckdb.lock names"
    wc -c "$KEPT/.fetch"/*.tgz | awk '{ print int($1 / 1000) }' >>"$KEPT/.kilobytes"
    mv "$KEPT/.fetch/$6" "$2"
    rm -rf "$KEPT/.fetch"
}

header=no
case "${1:-}" in
'') ;;
--header) header=yes ;;
--why)
    [ ! -e "$DEPS/lib/libduckdb.so" ] || exit 1
    cat "$WHY" 2>/dev/null || echo "deps/duckdb.sh was not run"
    exit 0
    ;;
-h | --help)
    sed -n '3,12s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
*)
    echo "deps/duckdb.sh: unknown argument '$1' (try -h)" >&2
    exit 2
    ;;
esac

mkdir -p "$KEPT" "$DEPS/lib"
rm -f "$WHY"
: >"$KEPT/.kilobytes" # what went over the wire, for setup.sh to add up
arch=$(dpkg --print-architecture 2>/dev/null || echo unknown)
fetch library "$KEPT/libduckdb.so"
# deps/fetch.sh makes .deps/lib anew when its lock changes: the file itself stays out of its way.
ln -sf ../duckdb/libduckdb.so "$DEPS/lib/libduckdb.so"
[ "$header" = no ] || fetch header "$KEPT/duckdb.h"
