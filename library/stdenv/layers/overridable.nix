# overridable build attributes: the result of a layer's function, with
#
#   overrideAttrs changes   the result of the same function with some attributes changed; `changes`
#                           is a set, `previous: set` or `final: previous: set`
#
# The attributes may be a function of their own final form: mkDerivation (final: { ... }).
{ lib }:
let
  asOverlay = changes: final: previous:
    let
      result = if builtins.isFunction changes then changes previous else changes;
    in
    if builtins.isFunction result then changes final previous else result;

  overridable = build: attributes:
    let
      base = if builtins.isFunction attributes then attributes else (_: attributes);
      final = lib.fix base;
      added = {
        overrideAttrs = changes: overridable build (lib.extends (asOverlay changes) base);
      };
      package = build final;
    in
    package // added // lib.genAttrs package.outputs (output: package.${output} // added);
in
overridable
