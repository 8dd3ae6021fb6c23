# Calling package functions with what they ask for, and calling them again with something else.
let
  inherit (import ./lists.nix) optional;

  # The arguments that the user passed may be a set, or a function of the ones there are.
  newArguments = changes: arguments:
    arguments // (if builtins.isFunction changes then changes arguments else changes);
in
rec {
  # makeOverridable f arguments: `f arguments`, where a result that is a set also has
  #   override changes        the result of f with some arguments changed
  #   overrideAttrs changes   (where the result has it already) the same as before, still overridable
  makeOverridable = f: arguments:
    let
      result = f arguments;
      override = changes: makeOverridable f (newArguments changes arguments);
    in
    if builtins.isAttrs result then
      result // { inherit override; }
      // (if result ? overrideAttrs then {
        overrideAttrs = changes: makeOverridable (a: (f a).overrideAttrs changes) arguments;
      } else { })
    else result;

  # callPackageWith scope function extra: call a package function (or the file that holds one) with
  # those attributes of `scope` that it names, and with `extra` in front of them. A required
  # argument that neither holds is an error that names it, and the file where there is one.
  callPackageWith = scope: functionOrFile: extra:
    let
      isFile = !builtins.isFunction functionOrFile;
      function = if isFile then import functionOrFile else functionOrFile;
      wanted = builtins.functionArgs function;
      found = builtins.intersectAttrs wanted scope // extra;
      missing = builtins.filter (name: !wanted.${name} && !(found ? ${name})) (builtins.attrNames wanted);
      place = builtins.concatStringsSep "" (optional isFile " of ${toString functionOrFile}");
    in
    if missing == [ ] then makeOverridable function found
    else throw "the package set has nothing named ${builtins.concatStringsSep ", " missing} for the package function${place}";
}
