#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetch the Kafka broker that the tests run against, Apache Kafka (Apache-2.0), into .deps/kafka, unless it is there.
#
#   deps/kafka.sh            fetch what kafka.lock names
#   deps/kafka.sh --why      say why there is none, from the last try; exit 1 when there is one
#
# The jars come by the ordinary `mvn`, from where this machine has it look, and are checked with the sha256 in kafka.lock.
# Without Java 17, Maven or its repository the tests that need a real broker are skipped and counted. 27 MB, and as much
# again for Maven's own plugin; nothing of it is committed or left in the user's own Maven folder. Environment: GYRE_DEPS.
set -eu

ROOT=$(cd "$(dirname "$0")/.." && pwd)
LOCK=$ROOT/deps/kafka.lock
KEPT=${GYRE_DEPS:-$ROOT/.deps}/kafka
WHY=$KEPT/why
PLUGIN=org.apache.maven.plugins:maven-dependency-plugin:3.6.1

die() {
    mkdir -p "$KEPT"
    printf '%s\n' "$*" >"$WHY"
    printf 'deps/kafka.sh: %s\n' "$*" >&2
    exit 1
}

jars() { # group artifact version sha256, a line each
    grep -v '^#' "$LOCK"
}

all_here() { # folder
    jars | while read -r _ artifact version sha256; do
        jar=$1/$artifact-$version.jar
        [ -r "$jar" ] && [ "$(sha256sum <"$jar" | cut -c1-64)" = "$sha256" ] || {
            echo "$artifact $version"
            exit 1
        }
    done
}

case "${1:-}" in
'') ;;
--why)
    all_here "$KEPT" >/dev/null || {
        cat "$WHY" 2>/dev/null || echo "deps/kafka.sh was not run"
        exit 0
    }
    command -v java >/dev/null || { # it was there when the jars were fetched
        echo "there is no Java to run a Kafka broker with (Debian: default-jre-headless)"
        exit 0
    }
    exit 1
    ;;
-h | --help)
    sed -n '3,10s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
*)
    echo "deps/kafka.sh: unknown argument '$1' (try -h)" >&2
    exit 2
    ;;
esac

! all_here "$KEPT" >/dev/null || exit 0
command -v java >/dev/null || die "there is no Java to run a Kafka broker with (Debian: default-jre-headless)"
major=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
[ "${major:-0}" -ge 17 ] || die "Kafka needs Java 17, and this is ${major:-of no known version}"
command -v mvn >/dev/null || die "there is no mvn to fetch Kafka with (Debian: maven)"

rm -rf "$KEPT"
mkdir -p "$KEPT/.fetch"
# Exactly what the lock names: nothing of it brings anything along.
{
    echo '<project><modelVersion>4.0.0</modelVersion>'
    echo '<groupId>gyre</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging><dependencies>'
    jars | while read -r group artifact version _; do
        echo "<dependency><groupId>$group</groupId><artifactId>$artifact</artifactId><version>$version</version><exclusions>"
        echo '<exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>'
    done
    echo '</dependencies></project>'
} >"$KEPT/.fetch/pom.xml"
mvn -B -q -C -f "$KEPT/.fetch/pom.xml" "-Dmaven.repo.local=$KEPT/.fetch/repository" "-DoutputDirectory=$KEPT/.fetch/jars" \
    "$PLUGIN:copy-dependencies" >"$KEPT/fetch.log" 2>&1 </dev/null ||
    die "Maven did not give Kafka: $(grep -m1 -a ERROR "$KEPT/fetch.log" | cut -c1-200) (log: $KEPT/fetch.log)"
bad=$(all_here "$KEPT/.fetch/jars") || die "$bad is not the jar that kafka.lock names"
mv "$KEPT/.fetch/jars"/*.jar "$KEPT/"
rm -rf "$KEPT/.fetch"
