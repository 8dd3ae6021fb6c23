# Layer 3: inputs and one command.
#
# Adds: buildInputs, nativeBuildInputs and propagatedBuildInputs (packages, or setup hooks as plain
# files), whose programs come on PATH and whose setup hooks run; setupHook, propagatedBuildInputs of
# the package itself; buildCommand (text) or buildCommandPath (file).
{ simpleDerivation }:
attributes:
simpleDerivation ({
  buildScript = "runCommand";
} // attributes // {
  layerScripts = [ ./3-run-command.sh ] ++ attributes.layerScripts or [ ];
})
