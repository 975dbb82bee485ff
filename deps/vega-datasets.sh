#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetch the public tables cars.json and iris.json into .deps/vega-datasets/, where `gyre demo fuel` and `gyre demo iris` look.
#
#   deps/vega-datasets.sh          fetch what vega-datasets.lock names, unless it is there
#   deps/vega-datasets.sh --why    say why there is none, from the last try; exit 1 when all is there
#
# They come out of an npm package by the ordinary `npm pack`, which runs nothing of it, and are checked with the sha256 in
# vega-datasets.lock. Nothing of it is committed; without them the demos make rows of the same kind. 5.6 MB of download.
# Environment: GYRE_DEPS (default .deps).
set -eu

ROOT=$(cd "$(dirname "$0")/.." && pwd)
LOCK=$ROOT/deps/vega-datasets.lock
KEPT=${GYRE_DEPS:-$ROOT/.deps}/vega-datasets
WHY=$KEPT/why

die() {
    printf '%s\n' "$*" >"$WHY"
    printf 'deps/vega-datasets.sh: %s\n' "$*" >&2
    exit 1
}

is_whole() { # file sha256
    [ -r "$1" ] && [ "$(sha256sum <"$1" | cut -c1-64)" = "$2" ]
}

all_here() {
    while read -r file _ _ sha256 _; do
        case $file in '#'* | '') continue ;; esac
        is_whole "$KEPT/$file" "$sha256" || return 1
    done <"$LOCK"
}

case "${1:-}" in
'') ;;
--why)
    ! all_here || exit 1
    cat "$WHY" 2>/dev/null || echo "deps/vega-datasets.sh was not run"
    exit 0
    ;;
-h | --help)
    sed -n '3,10s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
*)
    echo "deps/vega-datasets.sh: unknown argument '$1' (try -h)" >&2
    exit 2
    ;;
esac

mkdir -p "$KEPT"
: >"$KEPT/.kilobytes" # what went over the wire, for setup.sh to add up
if ! all_here; then
    command -v npm >/dev/null || die "there is no npm to fetch vega-datasets with (Debian: npm)"
    package=$(awk '$1 !~ /^#/ { print $2 "@" $3; exit }' "$LOCK")
    rm -rf "$KEPT/.fetch"
    mkdir -p "$KEPT/.fetch"
    (cd "$KEPT/.fetch" && npm pack --ignore-scripts --silent "$package") >"$KEPT/fetch.log" 2>&1 ||
        die "the npm registry did not give $package (log: $KEPT/fetch.log)"
    wc -c "$KEPT/.fetch"/*.tgz | awk '{ print int($1 / 1000) }' >"$KEPT/.kilobytes"
    while read -r file _ _ sha256 path; do
        case $file in '#'* | '') continue ;; esac
        tar -xzf "$KEPT/.fetch"/*.tgz -C "$KEPT/.fetch" "$path" 2>>"$KEPT/fetch.log" ||
            die "there is no $path in $package (log: $KEPT/fetch.log)"
        is_whole "$KEPT/.fetch/$path" "$sha256" || die "$path of $package is not the file that vega-datasets.lock names"
        mv "$KEPT/.fetch/$path" "$KEPT/$file"
    done <"$LOCK"
    rm -rf "$KEPT/.fetch"
fi
rm -f "$WHY"
