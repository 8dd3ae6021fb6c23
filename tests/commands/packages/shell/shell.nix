# A derivation that is never built: only its environment is wanted.
{ inNixShell ? false, word ? "none" }:
let
  environment = more: derivation ({
    name = "environment";
    system = builtins.currentSystem;
    builder = "/no/such/builder";
    stdenv = ./stdenv;
  } // more);
in
{
  plain = environment {
    inherit word;
    told = if inNixShell then "for a shell" else "for a build";
    seen = builtins.getEnv "IN_NIX_SHELL";
    passAsFile = [ "long" ];
    long = "in a file";
    shellHook = "hooked=yes";
  };
  structured = environment {
    __structuredAttrs = true;
    list = [ "a b" "c" ];
    set.key = "value";
  };
  broken = environment { input = derivation { name = "fails"; system = "x86_64-linux"; builder = "/no"; }; };
  several = [ (environment { }) (environment { name = "second"; }) ];
}
