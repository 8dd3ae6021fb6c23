# Layer 2: an environment in which the same builder gives the same result.
set -eo pipefail
shopt -s nullglob
export TZ=UTC SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-1}"
# 0 and nothing mean: as many as there are.
case $NIX_BUILD_CORES in ''|0) export NIX_BUILD_CORES=$(nproc) ;; esac
