# Layer 6: packages that are built by configure and make.
#
# Adds: configureScript, configureFlags, dontAddPrefix, dontDisableStatic; makefile, makeFlags,
# buildFlags, checkTarget, checkFlags, installTargets, installFlags; doCheck; outputs bin, lib, dev,
# man and info, each in its place; enableParallelBuilding (true); jobServer (true): with Firn, builds
# that run at the same time share job slots.
{ genericBuild, makePackages, configureShell }:
attributes:
genericBuild ({
  enableParallelBuilding = true;
  jobServer = true;
  inherit configureShell;
} // attributes // {
  layerScripts = [ ./6-make-derivation.sh ] ++ attributes.layerScripts or [ ];
  layerPackages = makePackages ++ attributes.layerPackages or [ ];
})
