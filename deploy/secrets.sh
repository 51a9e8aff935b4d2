#!/bin/sh
# Makes the secrets that compose.yaml mounts, once: what is there stays as it is.
#
# The folder is closed to everybody else; the files in it are readable, because services that are not root read them.
set -eu
umask 077
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"

random() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }
sha256() { if command -v sha256sum > /dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1; }
# Whole or not at all: standard input becomes the file.
keep() { cat > "$folder/.new" && chmod 444 "$folder/.new" && mv "$folder/.new" "$folder/$1"; }

# As `cloakroom keygen` makes it.
[ -e "$folder/keys" ] || random | keep keys
# As `cloakroom caller-token` makes it. The service is given the hash alone; callers get the token.
for caller in frontend operator; do
    [ -e "$folder/${caller}_token" ] || printf 'cloakroom_caller_%s' "$(random)" | keep "${caller}_token"
    [ -e "$folder/${caller}_hashes" ] || sha256 < "$folder/${caller}_token" | keep "${caller}_hashes"
done
# The url is written last: without it both are made again.
if [ ! -e "$folder/redis_url" ]; then
    password=$(random)
    echo "requirepass $password" | keep redis_conf
    echo "redis://:$password@redis:6379" | keep redis_url
fi
