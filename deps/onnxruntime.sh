#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetch ONNX Runtime's library into .deps/lib/libonnxruntime.so.1, where `gyre` opens it when the first ONNX model is loaded.
#
#   deps/onnxruntime.sh               fetch the library that onnxruntime.lock names, unless it is there
#   deps/onnxruntime.sh --header      the library and onnxruntime_c_api.h, which a test compares with our declarations
#   deps/onnxruntime.sh --why         say why there is none, from the last try; exit 1 when there is one
#
# The library comes out of an npm package by the ordinary `npm pack`, which runs nothing of it, and is checked with the sha256 in
# onnxruntime.lock; the header comes out of a Debian package by deps/fetch.sh. Nothing of it is committed; the build needs neither.
# 80 MB of download (it holds the libraries of other systems too), 22 MB kept.
# Without npm: put a libonnxruntime.so.1 of 1.21 or later into a folder of your own and name that in GYRE_LIBDIR.
# Environment: GYRE_DEPS (default .deps).
set -eu

ROOT=$(cd "$(dirname "$0")/.." && pwd)
LOCK=$ROOT/deps/onnxruntime.lock
DEPS=${GYRE_DEPS:-$ROOT/.deps}
KEPT=$DEPS/onnxruntime
WHY=$KEPT/why

die() {
    printf '%s\n' "$*" >"$WHY"
    printf 'deps/onnxruntime.sh: %s\n' "$*" >&2
    exit 1
}

is_whole() { # file sha256
    [ -r "$1" ] && [ "$(sha256sum <"$1" | cut -c1-64)" = "$2" ]
}

# Fetch the library that the lock names for this machine to $1.
fetch_library() {
    set -- "$1" $(awk -v a="$arch" '$1 == "library" && $4 == a { print $2, $3, $5, $6 }' "$LOCK")
    [ $# = 5 ] || die "onnxruntime.lock has no library for this machine ($arch)"
    ! is_whole "$1" "$4" || return 0
    command -v npm >/dev/null || die "there is no npm to fetch ONNX Runtime with (Debian: npm)"
    rm -rf "$KEPT/.fetch"
    mkdir -p "$KEPT/.fetch"
    (cd "$KEPT/.fetch" && npm pack --ignore-scripts --silent "$2@$3") >"$KEPT/fetch.log" 2>&1 ||
        die "the npm registry did not give $2 $3 (log: $KEPT/fetch.log)"
    tar -xzf "$KEPT/.fetch"/*.tgz -C "$KEPT/.fetch" "$5" 2>>"$KEPT/fetch.log" ||
        die "there is no $5 in $2 $3 (log: $KEPT/fetch.log)"
    is_whole "$KEPT/.fetch/$5" "$4" || die "$5 of $2 $3 is not the file that onnxruntime.lock names"
    wc -c "$KEPT/.fetch"/*.tgz | awk '{ print int($1 / 1000) }' >>"$KEPT/.kilobytes"
    mv "$KEPT/.fetch/$5" "$1"
    rm -rf "$KEPT/.fetch"
}

# deps/fetch.sh works beside the lock it is to follow: give it a folder with the deb lines of ours.
fetch_header() {
    [ ! -r "$KEPT/onnxruntime_c_api.h" ] || return 0
    rm -rf "$KEPT/.header"
    mkdir -p "$KEPT/.header/deps"
    cp "$ROOT/deps/fetch.sh" "$KEPT/.header/deps/"
    grep '^deb ' "$LOCK" >"$KEPT/.header/deps/deps.lock"
    GYRE_DEPS="$KEPT/.header/out" "$KEPT/.header/deps/fetch.sh" >"$KEPT/header.log" 2>&1 ||
        die "the header of ONNX Runtime could not be fetched (log: $KEPT/header.log)"
    header=$(find "$KEPT/.header/out/include" -name onnxruntime_c_api.h)
    [ -n "$header" ] || die "there is no onnxruntime_c_api.h in libonnxruntime-dev"
    cat "$KEPT/.header/out/.kilobytes" >>"$KEPT/.kilobytes"
    mv "$header" "$KEPT/"
    rm -rf "$KEPT/.header"
}

header=no
case "${1:-}" in
'') ;;
--header) header=yes ;;
--why)
    [ ! -e "$DEPS/lib/libonnxruntime.so.1" ] || exit 1
    cat "$WHY" 2>/dev/null || echo "deps/onnxruntime.sh was not run"
    exit 0
    ;;
-h | --help)
    sed -n '3,14s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
*)
    echo "deps/onnxruntime.sh: unknown argument '$1' (try -h)" >&2
    exit 2
    ;;
esac

mkdir -p "$KEPT" "$DEPS/lib"
rm -f "$WHY"
: >"$KEPT/.kilobytes" # what went over the wire, for setup.sh to add up
arch=$(dpkg --print-architecture 2>/dev/null || echo unknown)
fetch_library "$KEPT/libonnxruntime.so.1"
# deps/fetch.sh makes .deps/lib anew when its lock changes: the file itself stays out of its way.
ln -sf ../onnxruntime/libonnxruntime.so.1 "$DEPS/lib/libonnxruntime.so.1"
[ "$header" = no ] || fetch_header
