#!/bin/bash
# PostgreSQL's entry point in both worlds: make the cluster if there is none, then be the server.
#
# The cluster is made in a directory beside its place and renamed into it last of all, so that an
# interrupted first start can't be taken for a whole one. SQL goes through single-user mode: no
# server need be started and stopped for it, and the superuser can't be reached in any other way.
# A later start applies the schema, the rights and the services' logins again if any of them has
# changed (their digest is kept beside the data), and gives checksums to a cluster without them.
set -euo pipefail
umask 077

PGDATA=${PGDATA:-/var/lib/postgresql/data}
SECRETS_DIR=${SECRETS_DIR:-/run/secrets}
POSTGRES_USER=${POSTGRES_USER:-shop}
POSTGRES_DB=${POSTGRES_DB:-shop}
POSTGRES_PORT=${POSTGRES_PORT:-5432}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
roles=$SECRETS_DIR/postgres.roles
new=$PGDATA/.new
export LC_ALL=C.UTF-8 PGDATA

say() {
    printf '{"service":"postgres-db","time":%s,"level":"%s","message":"%s"}\n' \
        "${EPOCHREALTIME/,/.}" "$1" "$2"
}
die() { say error "$1"; exit 1; }

for bin in /usr/lib/postgresql/*/bin; do [[ -x $bin/postgres ]] && PATH=$bin:$PATH; done
command -v postgres >/dev/null || die "no postgres in /usr/lib/postgresql"
[[ $(id -u) != 0 ]] || die "postgres refuses to run as root"
[[ -r $roles ]] || die "cannot read $roles"

# sql DIRECTORY DATABASE [OPTION…]: run the statements on standard input, each ended by an empty line.
sql() {
    postgres --single -j -D "$1" -c log_min_messages=error -c log_checkpoints=off \
        -c exit_on_error=on "${@:3}" "$2" >/dev/null
}

# What must be in the database. Each line of the roles' file is a service and its password's SCRAM
# verifier: by it a password can be checked, but nobody can log in.
contents() {
    printf 'SET ROLE "%s";\n\n' "$POSTGRES_USER"
    cat "$here/schema.sql"
    printf '\nRESET ROLE;\n\n'
    cat "$here/rights.sql"
    printf '\n'
    while read -r service verifier; do
        printf 'ALTER ROLE "%s" LOGIN PASSWORD '\''%s'\'';\n\n' "$service" "$verifier"
    done <"$roles"
}

# Who may come, and from where; all others are refused. The owner has no password: a probe is asked
# for one, which shows that the server answers.
hba() {
    printf 'local "%s" "%s" scram-sha-256\n' "$POSTGRES_DB" "$POSTGRES_USER"
    printf 'host "%s" "%s" 127.0.0.1/32 scram-sha-256\n' "$POSTGRES_DB" "$POSTGRES_USER"
    printf 'local "%s" monitor peer map=server\n' "$POSTGRES_DB"
    while read -r service _; do
        printf 'host "%s" "%s" all scram-sha-256\n' "$POSTGRES_DB" "$service"
    done <"$roles"
}

wanted=$(contents | sha256sum | cut -d' ' -f1)

if [[ ! -s $PGDATA/PG_VERSION ]]; then
    say info "making the cluster"
    rm -rf "$new"
    initdb -D "$new" -U postgres --auth=reject --encoding=UTF8 --locale=C.UTF-8 --data-checksums \
        --no-sync >/dev/null
    {
        printf 'CREATE ROLE "%s" NOLOGIN;\n\n' "$POSTGRES_USER"
        printf 'CREATE DATABASE "%s" OWNER "%s";\n\n' "$POSTGRES_DB" "$POSTGRES_USER"
    } | sql "$new" postgres -c fsync=off
    contents | sql "$new" "$POSTGRES_DB" -c fsync=off
    printf '%s\n' "$wanted" >"$new/.contents"
    sync -f "$new"
    # PG_VERSION goes last: it is what says that the cluster is whole.
    find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name .new -exec rm -rf {} +
    find "$new" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t "$PGDATA" {} +
    sync -f "$PGDATA"
    mv "$new/PG_VERSION" "$PGDATA/PG_VERSION"
    rmdir "$new"
    sync -f "$PGDATA"
elif [[ $(cat "$PGDATA/.contents" 2>/dev/null) != "$wanted" ]]; then
    say info "applying the schema, the rights and the logins"
    # An earlier version's services all logged in as the owner.
    { printf 'ALTER ROLE "%s" NOLOGIN PASSWORD NULL;\n\n' "$POSTGRES_USER"; contents; } |
        sql "$PGDATA" "$POSTGRES_DB"
    # That left the cluster shut down in an orderly way, as pg_checksums demands.
    if pg_controldata "$PGDATA" | grep '^Data page checksum version: *0$' >/dev/null; then
        say info "giving the data checksums"
        pg_checksums --enable --pgdata "$PGDATA" >/dev/null
    fi
    printf '%s\n' "$wanted" >"$PGDATA/.contents"
    rm -f "$PGDATA/.password" "$PGDATA/.schema"
fi
hba >"$PGDATA/pg_hba.conf"
printf 'server "%s" monitor\n' "$(id -un)" >"$PGDATA/pg_ident.conf"

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
