#!/bin/sh
# Creates the certificates and the secrets that compose.sentinel.yaml mounts besides those of secrets.sh. Needs openssl.
# Existing files are not changed. Delete redis_ca.pem to create all of them again: they are valid for ten years.
set -eu
umask 077
folder=${1:-$(dirname "$0")/secrets}
network=${CLOAKROOM_STORE_NETWORK:-172.30.231}
"$(dirname "$0")/secrets.sh" "$folder"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Writes standard input to a file. The rename makes sure that the file is never incomplete.
write() { cat > "$folder/.new" && chmod 444 "$folder/.new" && mv "$folder/.new" "$folder/$1"; }

# The certificate of the authority is written last, so that all files are created again if it is missing.
if [ ! -e "$folder/redis_ca.pem" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj '/CN=Cloakroom Redis' \
        -keyout "$work/ca.key" -out "$work/ca.pem" 2> /dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj '/CN=redis' \
        -keyout "$work/redis.key" -out "$work/redis.csr" 2> /dev/null
    # Sentinels announce addresses, and the service calls Sentinels by their names.
    echo "subjectAltName = DNS:redis, DNS:redis-2, DNS:sentinel, DNS:sentinel-2, DNS:sentinel-3, \
IP:$network.11, IP:$network.12" > "$work/names"
    openssl x509 -req -in "$work/redis.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -days 3650 \
        -extfile "$work/names" -out "$work/redis.pem" 2> /dev/null
    read -r _ password < "$folder/redis_conf"
    printf 'requirepass %s\nmasterauth %s\n' "$password" "$password" | write redis_replica_conf
    echo "rediss://:$password@redis:6379" | write redis_tls_url
    write redis.key < "$work/redis.key"
    write redis.pem < "$work/redis.pem"
    write redis_ca.pem < "$work/ca.pem"
fi
