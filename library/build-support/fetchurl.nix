# One file from the network, fixed by its hash.
#
# The result is a fixed output: its store path depends on name and hash only, so a file that came by
# any other way (`nix-store --add-fixed sha256 FILE`, FILE bearing the name) is as good, and where it
# is fetched from may change without changing any path.
#
# `mirror://NAME/PATH` is a place whose address the user's own settings know (debian, gnu, ...); no
# address of a mirror stands in this library. C++ Nix does not know such addresses: it finds the
# file in its store or not at all.
{ lib }:
{
  # Where to look: one address, or several of which the first is tried first.
  url ? builtins.head urls
, urls ? [ url ]
  # The name of the file in the store.
, name ? lib.storeName (baseNameOf (builtins.head urls))
  # One of: an SRI hash, or sha256/sha512/sha1 in hexadecimal, base 32 or base 64.
, hash ? ""
, sha256 ? ""
, sha512 ? ""
, sha1 ? ""
  # Mark the file executable. The hash is then that of its archive.
, executable ? false
}:
let
  given = builtins.filter (one: one.outputHash != "") [
    { outputHash = hash; outputHashAlgo = null; }
    { outputHash = sha256; outputHashAlgo = "sha256"; }
    { outputHash = sha512; outputHashAlgo = "sha512"; }
    { outputHash = sha1; outputHashAlgo = "sha1"; }
  ];
  fixed =
    if builtins.length given == 1 then builtins.head given
    else throw "fetchurl: ${name} (${builtins.head urls}) needs exactly one hash, it has ${toString (builtins.length given)}";
  drv = derivation {
    inherit name executable;
    inherit (fixed) outputHash outputHashAlgo;
    outputHashMode = if executable then "recursive" else "flat";
    builder = "builtin:fetchurl";
    system = "builtin";
    url = builtins.head urls;
    # All the places, for a builder that tries one after another.
    inherit urls;
    unpack = false;
    preferLocalBuild = true;
    impureEnvVars = [ "http_proxy" "https_proxy" "ftp_proxy" "all_proxy" "no_proxy" ];
  };
in
drv // { inherit urls; meta = { inherit name; }; }
