#!/bin/bash
# PostgreSQL's entry point in both worlds: make the cluster if there is none, then be the server.
#
# The cluster is made in a directory beside its place and renamed into it last of all, so that an
# interrupted first start can't be taken for a whole one. SQL goes through single-user mode: no
# server need be started and stopped for it, and the superuser can't be reached in any other way.
# A later start sets the password again if the secret has changed (its digest is kept beside the
# data), and applies the schema again if that has.
set -euo pipefail
umask 077

PGDATA=${PGDATA:-/var/lib/postgresql/data}
SECRETS_DIR=${SECRETS_DIR:-/run/secrets}
POSTGRES_USER=${POSTGRES_USER:-shop}
POSTGRES_DB=${POSTGRES_DB:-shop}
POSTGRES_PORT=${POSTGRES_PORT:-5432}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
new=$PGDATA/.new
export LC_ALL=C.UTF-8 PGDATA

say() { printf '{"service":"postgres-db","level":"%s","message":"%s"}\n' "$1" "$2"; }
die() { say error "$1"; exit 1; }

for bin in /usr/lib/postgresql/*/bin; do [[ -x $bin/postgres ]] && PATH=$bin:$PATH; done
command -v postgres >/dev/null || die "no postgres in /usr/lib/postgresql"
[[ $(id -u) != 0 ]] || die "postgres refuses to run as root"
[[ -r $SECRETS_DIR/postgres_password ]] || die "cannot read $SECRETS_DIR/postgres_password"
password=$(tr -d '\r\n' <"$SECRETS_DIR/postgres_password")
[[ -n $password ]] || die "$SECRETS_DIR/postgres_password is empty"

# sql DIRECTORY DATABASE [OPTION…]: run the statements on standard input, each ended by an empty line.
sql() {
    # A statement that fails is not logged: one of them holds the password.
    postgres --single -j -D "$1" -c log_min_messages=error -c log_min_error_statement=panic \
        -c log_checkpoints=off \
        -c exit_on_error=on "${@:3}" "$2" >/dev/null
}

# The password as an SQL string. Not on a command line: those are for all to read.
quoted_password() {
    local text=${password//\\/\\\\}
    printf "E'%s'" "${text//\'/\'\'}"
}

schema() {
    printf 'SET ROLE "%s";\n\n' "$POSTGRES_USER"
    cat "$here/schema.sql"
}

digest() { sha256sum | cut -d' ' -f1; }
wanted_password=$(printf '%s' "$password" | digest)
wanted_schema=$(digest <"$here/schema.sql")

if [[ ! -s $PGDATA/PG_VERSION ]]; then
    say info "making the cluster"
    rm -rf "$new"
    initdb -D "$new" -U postgres --auth=reject --encoding=UTF8 --locale=C.UTF-8 --no-sync >/dev/null
    {
        printf 'CREATE ROLE "%s" LOGIN PASSWORD %s;\n\n' "$POSTGRES_USER" "$(quoted_password)"
        printf 'CREATE DATABASE "%s" OWNER "%s";\n\n' "$POSTGRES_DB" "$POSTGRES_USER"
    } | sql "$new" postgres -c fsync=off
    schema | sql "$new" "$POSTGRES_DB" -c fsync=off
    printf '%s "%s" "%s" %s scram-sha-256\n' \
        local "$POSTGRES_DB" "$POSTGRES_USER" '' \
        host "$POSTGRES_DB" "$POSTGRES_USER" all >"$new/pg_hba.conf"
    printf '%s\n' "$wanted_password" >"$new/.password"
    printf '%s\n' "$wanted_schema" >"$new/.schema"
    sync -f "$new"
    # PG_VERSION goes last: it is what says that the cluster is whole.
    find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name .new -exec rm -rf {} +
    find "$new" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t "$PGDATA" {} +
    sync -f "$PGDATA"
    mv "$new/PG_VERSION" "$PGDATA/PG_VERSION"
    rmdir "$new"
    sync -f "$PGDATA"
else
    if [[ $(cat "$PGDATA/.password" 2>/dev/null) != "$wanted_password" ]]; then
        say info "setting the password"
        printf 'ALTER ROLE "%s" PASSWORD %s;\n\n' "$POSTGRES_USER" "$(quoted_password)" |
            sql "$PGDATA" postgres
        printf '%s\n' "$wanted_password" >"$PGDATA/.password"
    fi
    if [[ $(cat "$PGDATA/.schema" 2>/dev/null) != "$wanted_schema" ]]; then
        say info "applying the schema"
        schema | sql "$PGDATA" "$POSTGRES_DB"
        printf '%s\n' "$wanted_schema" >"$PGDATA/.schema"
    fi
fi

# SIGTERM waits for the clients to leave ("smart shutdown"); to stop it, send SIGINT.
exec postgres -D "$PGDATA" \
    -c listen_addresses='*' -c port="$POSTGRES_PORT" -c unix_socket_directories=/tmp \
    -c max_connections=60 -c superuser_reserved_connections=3 \
    -c shared_buffers=32MB -c work_mem=2MB -c maintenance_work_mem=16MB -c wal_buffers=1MB \
    -c max_wal_size=256MB -c min_wal_size=80MB -c fsync=on -c synchronous_commit=on \
    -c max_worker_processes=2 -c max_logical_replication_workers=0 \
    -c max_parallel_workers=0 -c max_parallel_workers_per_gather=0 \
    -c max_wal_senders=0 -c wal_level=minimal -c jit=off -c huge_pages=off \
    -c autovacuum_max_workers=1 -c tcp_keepalives_idle=30 \
    -c logging_collector=off -c log_destination=stderr -c log_line_prefix='%m [%p] %a '
