# Layer 5: what is done with sources before, and with the result after, whatever is built.
#
# Adds: src or srcs, sourceRoot, unpackHooks; patches, patchFlags, uncompressHooks; buildCommandPhase
# for the build itself; dontStrip, dontShrinkRpath, dontPatchShebangs, dontCompressManPages.
{ runPhases, genericPackages }:
attributes:
runPhases (attributes // {
  layerScripts = [ ./5-generic-build.sh ] ++ attributes.layerScripts or [ ];
  layerPackages = genericPackages ++ attributes.layerPackages or [ ];
})
