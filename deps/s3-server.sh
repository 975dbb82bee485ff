#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Build the S3 server that the tests run against, versitygw (Apache-2.0), into .deps/s3/versitygw, unless it is there.
#
#   deps/s3-server.sh            build what s3-server.lock names
#   deps/s3-server.sh --why      say why there is none, from the last try; exit 1 when there is one
#
# Its source comes through the Go module proxy by the ordinary `go` command, as deps/s3-server.lock pins it: the
# hash of the module there, and those of all that it uses in its own go.sum. A Go that is too old (Debian 12 has 1.19)
# fetches the newer one, a module itself. Without Go or the proxy the tests that need it are skipped and counted.
# The first build takes one to two minutes and 350 MB of download; nothing of it is committed. Environment: GYRE_DEPS.
set -eu

ROOT=$(cd "$(dirname "$0")/.." && pwd)
LOCK=$ROOT/deps/s3-server.lock
DEPS=${GYRE_DEPS:-$ROOT/.deps}
OUT=$DEPS/s3/versitygw
WHY=$DEPS/s3/why

case "${1:-}" in
'') ;;
--why)
    [ ! -x "$OUT" ] || exit 1
    cat "$WHY" 2>/dev/null || echo "deps/s3-server.sh was not run"
    exit 0
    ;;
-h | --help)
    sed -n '3,11s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
*)
    echo "deps/s3-server.sh: unknown argument '$1' (try -h)" >&2
    exit 2
    ;;
esac

stamp=$(sha256sum <"$LOCK" | cut -c1-64)
if [ -x "$OUT" ] && [ "$(cat "$DEPS/s3/.stamp" 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi
mkdir -p "$DEPS/s3"
rm -f "$OUT" "$WHY"

die() {
    printf '%s\n' "$*" >"$WHY"
    printf 'deps/s3-server.sh: %s\n' "$*" >&2
    exit 1
}

pinned() { # module -> version and hash
    awk -v m="$1" -v a="$(dpkg --print-architecture 2>/dev/null)" '$1 == m && ($3 == "any" || $3 == a) { print $2, $4 }' "$LOCK"
}

LOG=$DEPS/s3/build.log
: >"$LOG"
unset GOFLAGS GOTOOLCHAIN

# Fetch the module $1 as it is pinned; print its folder.
fetch() {
    set -- "$1" $(pinned "$1")
    [ $# = 3 ] || die "s3-server.lock has no $1 for this machine"
    json=$("$go" mod download -json "$1@$2" 2>>"$LOG") || die "the Go module proxy did not give $1 $2 (log: $LOG)"
    sum=$(printf '%s' "$json" | sed -n 's/.*"Sum": "\(.*\)".*/\1/p')
    [ "$sum" = "$3" ] || die "$1 $2 has the hash $sum, s3-server.lock says $3"
    printf '%s' "$json" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'
}

go=$(command -v go || ls /usr/local/go/bin/go /usr/lib/go-*/bin/go 2>/dev/null | tail -n1 || true)
[ -n "$go" ] || die "there is no Go to build an S3 server with (Debian: golang-go)"
cd "$DEPS/s3"
minor=$("$go" env GOVERSION | sed 's/^go1\.\([0-9]*\).*/\1/')
if [ "$minor" -lt 25 ]; then
    dir=$(fetch golang.org/toolchain) || exit 1
    # Files of modules are not executable.
    chmod u+w "$dir" "$dir/bin" "$dir/pkg/tool"/* && chmod -R u+wx "$dir/bin" "$dir/pkg/tool" 2>>"$LOG" ||
        die "the Go toolchain can not be made executable (log: $LOG)"
    go=$dir/bin/go
    export GOROOT="$dir"
fi
export GOTOOLCHAIN=local
dir=$(fetch github.com/versity/versitygw) || exit 1
(cd "$dir" && "$go" build -mod=readonly -buildvcs=false -trimpath -ldflags='-s -w' -o "$DEPS/s3/.new" ./cmd/versitygw) >>"$LOG" 2>&1 ||
    die "the S3 server could not be built: $(tail -n1 "$LOG") (log: $LOG)"
mv "$DEPS/s3/.new" "$OUT"
echo "$stamp" >"$DEPS/s3/.stamp"
