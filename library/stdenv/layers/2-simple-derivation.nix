# Layer 2: `derivation` with what every package wants.
#
# Adds: the system, bash as builder, a pure environment (2-simple-derivation.sh), a name out of
# pname and version. Keeps out of the build, and gives back with the result: `meta` (what is known
# about the package) and `passthru` (anything else).
#
# Takes a script as `builder`, which begins with `source $stdenv/setup`; or `buildScript`, the same
# as text without that line.
{ system, shell, setup }:
attributes:
let
  notInEnvironment = [ "meta" "passthru" "builder" "buildScript" "layerScripts" ];
  drv = derivation (
    {
      inherit system;
      builder = shell;
      stdenv = setup;
      args =
        if attributes ? builder then [ "-e" attributes.builder ]
        else [ "-e" "-c" "source $stdenv/setup\n${attributes.buildScript}" ];
      layerScripts = [ ./2-simple-derivation.sh ] ++ attributes.layerScripts or [ ];
    }
    // (if attributes ? pname && attributes ? version && !(attributes ? name)
        then { name = "${attributes.pname}-${attributes.version}"; } else { })
    // removeAttrs attributes notInEnvironment
  );
  outputs = attributes.outputs or [ "out" ];
  withKnowledge = one: one // (attributes.passthru or { }) // {
    meta = { inherit (drv) name; } // (attributes.meta or { });
    inherit outputs;
  };
in
withKnowledge drv
// builtins.listToAttrs (map (output: { name = output; value = withKnowledge drv.${output}; }) outputs)
