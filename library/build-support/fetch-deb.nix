# A Debian package out of a lock file (stdenv/lock/): the .deb as it stands in the archive, under
# its own file name.
{ lib, fetchurl }:
rec {
  # readLock file: { <package> = { version, file, size, sha256 }; ... }
  readLock = file: builtins.fromJSON (builtins.readFile file);

  # fetchDeb entry: the .deb of one entry.
  fetchDeb = entry: fetchurl {
    url = "mirror://debian/${entry.file}";
    name = lib.storeName (baseNameOf entry.file);
    inherit (entry) sha256;
  };
}
