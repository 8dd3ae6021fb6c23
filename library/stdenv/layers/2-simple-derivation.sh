# Layer 2: an environment in which the same builder gives the same result.
set -eo pipefail
shopt -s nullglob
export TZ=UTC SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-1}"
