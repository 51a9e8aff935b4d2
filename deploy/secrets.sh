#!/bin/sh
# Creates the secrets that compose.yaml mounts. Existing files are not changed.
#
# Only the owner may open the folder. The files in it are readable, because services read them without being root.
set -eu
umask 077
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"

random() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }
sha256() { if command -v sha256sum > /dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1; }
# Writes standard input to a file. The rename makes sure that the file is never incomplete.
write() { cat > "$folder/.new" && chmod 444 "$folder/.new" && mv "$folder/.new" "$folder/$1"; }

# The format of `cloakroom keygen`.
[ -e "$folder/keys" ] || random | write keys
# The format of `cloakroom caller-token`. The service gets only the hash; callers get the token.
for caller in frontend operator; do
    [ -e "$folder/${caller}_token" ] || printf 'cloakroom_caller_%s' "$(random)" | write "${caller}_token"
    [ -e "$folder/${caller}_hashes" ] || sha256 < "$folder/${caller}_token" | write "${caller}_hashes"
done
# The url is written last, so that both files are created again if it is missing.
if [ ! -e "$folder/redis_url" ]; then
    password=$(random)
    echo "requirepass $password" | write redis_conf
    echo "redis://:$password@redis:6379" | write redis_url
fi
