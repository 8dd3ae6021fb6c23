# Layer 4: a build as a list of phases.
#
# Adds: phases, prePhases, postPhases; for a phase `build` buildPhase, preBuild, postBuild (text,
# file or shell function), dontBuild and doBuild; exitHook, failureHook.
{ runCommand }:
attributes:
runCommand ({
  buildScript = "genericBuild";
} // attributes // {
  layerScripts = [ ./4-run-phases.sh ] ++ attributes.layerScripts or [ ];
})
