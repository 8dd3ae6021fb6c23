# `<nix/fetchurl.nix>`: a file at a URL as a fixed-output derivation, downloaded by the builder itself.
#
# The hash is SRI in `hash`, or in one of the older attributes named by algorithm. What is executable or unpacked is a
# tree, so its hash is that of a tree. The attributes given to `derivation`, and therefore the path, are those of C++ Nix.
{
  url,
  name ? baseNameOf (toString url),
  hash ? "",
  sha512 ? "",
  sha256 ? "",
  sha1 ? "",
  md5 ? "",
  outputHash ? null,
  outputHashAlgo ? null,
  executable ? false,
  unpack ? false,
  impure ? false,
  # Accepted and ignored, for callers of old.
  system ? "",
}:

let
  # The first hash that is given decides; sha256 stands last.
  given =
    if hash != "" then
      { text = hash; algorithm = ""; }
    else if sha512 != "" then
      { text = sha512; algorithm = "sha512"; }
    else if sha1 != "" then
      { text = sha1; algorithm = "sha1"; }
    else if md5 != "" then
      { text = md5; algorithm = "md5"; }
    else
      { text = sha256; algorithm = "sha256"; };

  content = {
    outputHash = if outputHash == null then given.text else outputHash;
    outputHashAlgo = if outputHashAlgo == null then given.algorithm else outputHashAlgo;
  };

  isTree = executable || unpack;
in
derivation (
  {
    inherit name url unpack executable;
    urls = [ url ];
    builder = "builtin:fetchurl";
    system = "builtin";
    outputHashMode = if isTree then "recursive" else "flat";
    preferLocalBuild = true;
    # Without effect on this builder; part of the path for compatibility.
    impureEnvVars = [ "http_proxy" "https_proxy" "ftp_proxy" "all_proxy" "no_proxy" ];
  }
  // (if impure then { __impure = true; } else content)
)
