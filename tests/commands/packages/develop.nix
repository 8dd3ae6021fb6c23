# Derivations that are never built: only what their setup makes is wanted. They need the host's bash.
let
  setup = builtins.toFile "setup" ''
    fromSetup="set up"
    list=(1 "2 3")
    declare -A table=([k]=v)
    odd=$'\t\e"\\\n'
    greetPhase() { echo "hello, $A"; }
    buildPhase() { echo "building"; }
    runHook() { "$1"; }
  '';
  # A standard environment is a folder with a file `setup`; the sandbox has a shell that can make one.
  stdenv = derivation {
    name = "stdenv";
    system = builtins.currentSystem;
    builder = "/bin/bash";
    args = [ "-c" "/bin/mkdir $out && /bin/cp ${setup} $out/setup" ];
  };
  environment = more: derivation ({
    name = "environment";
    system = builtins.currentSystem;
    builder = "/bin/bash";
    A = "attribute";
    inherit stdenv;
  } // more);
in
{
  plain = environment { };
  structured = environment { __structuredAttrs = true; list = [ "a b" "c" ]; };
  shelled = environment { builder = "/bin/sh"; };
}
